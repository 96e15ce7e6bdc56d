/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints wireguard:*, in C because the kernel's macros for them are. What they are called by: tracepoints.rs. */

#undef TRACE_SYSTEM
#undef TRACE_INCLUDE_FILE
#undef TRACE_INCLUDE_PATH
#define TRACE_SYSTEM wireguard
#define TRACE_INCLUDE_FILE tracepoints
#define TRACE_INCLUDE_PATH .

#if !defined(_WIREGUARD_TRACEPOINTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _WIREGUARD_TRACEPOINTS_H

#include <linux/tracepoint.h>

#define wg_show_message(type) __print_symbolic(type, { 1, "initiation" }, { 2, "response" }, { 3, "cookie reply" })

DECLARE_EVENT_CLASS(wg_handshake,
	TP_PROTO(int ifindex, u64 peer, u8 type, u32 len),
	TP_ARGS(ifindex, peer, type, len),
	TP_STRUCT__entry(
		__field(u64, peer)
		__field(int, ifindex)
		__field(u32, len)
		__field(u8, type)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->ifindex = ifindex;
		__entry->len = len;
		__entry->type = type;
	),
	TP_printk("ifindex=%d peer=%llu type=%s len=%u", __entry->ifindex, __entry->peer, wg_show_message(__entry->type), __entry->len)
);

/* A message of a handshake is sent. A cookie reply is for an unknown sender: its peer is zero. */
DEFINE_EVENT(wg_handshake, wg_handshake_sent,
	TP_PROTO(int ifindex, u64 peer, u8 type, u32 len),
	TP_ARGS(ifindex, peer, type, len));

/* An authentic one has come. */
DEFINE_EVENT(wg_handshake, wg_handshake_received,
	TP_PROTO(int ifindex, u64 peer, u8 type, u32 len),
	TP_ARGS(ifindex, peer, type, len));

DECLARE_EVENT_CLASS(wg_session,
	TP_PROTO(int ifindex, u64 peer, u32 session, bool initiator),
	TP_ARGS(ifindex, peer, session, initiator),
	TP_STRUCT__entry(
		__field(u64, peer)
		__field(int, ifindex)
		__field(u32, session)
		__field(bool, initiator)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->ifindex = ifindex;
		__entry->session = session;
		__entry->initiator = initiator;
	),
	TP_printk("ifindex=%d peer=%llu session=%u role=%s", __entry->ifindex, __entry->peer, __entry->session,
		  __entry->initiator ? "initiator" : "responder")
);

/* The keys of a session were derived. */
DEFINE_EVENT(wg_session, wg_session_begun,
	TP_PROTO(int ifindex, u64 peer, u32 session, bool initiator),
	TP_ARGS(ifindex, peer, session, initiator));

/* They are given up. */
DEFINE_EVENT(wg_session, wg_session_ended,
	TP_PROTO(int ifindex, u64 peer, u32 session, bool initiator),
	TP_ARGS(ifindex, peer, session, initiator));

/* Packets or messages are dropped. The cause is what ethtool -S calls it. */
TRACE_EVENT(wg_dropped,
	TP_PROTO(int ifindex, u64 peer, const char *cause, u32 count),
	TP_ARGS(ifindex, peer, cause, count),
	TP_STRUCT__entry(
		__field(u64, peer)
		__field(int, ifindex)
		__field(u32, count)
		__array(char, cause, 32)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->ifindex = ifindex;
		__entry->count = count;
		strscpy_pad(__entry->cause, cause);
	),
	TP_printk("ifindex=%d peer=%llu cause=%s count=%u", __entry->ifindex, __entry->peer, __entry->cause, __entry->count)
);

DECLARE_EVENT_CLASS(wg_batch,
	TP_PROTO(int ifindex, u64 peer, u32 packets, u32 bytes),
	TP_ARGS(ifindex, peer, packets, bytes),
	TP_STRUCT__entry(
		__field(u64, peer)
		__field(int, ifindex)
		__field(u32, packets)
		__field(u32, bytes)
	),
	TP_fast_assign(
		__entry->peer = peer;
		__entry->ifindex = ifindex;
		__entry->packets = packets;
		__entry->bytes = bytes;
	),
	TP_printk("ifindex=%d peer=%llu packets=%u bytes=%u", __entry->ifindex, __entry->peer, __entry->packets, __entry->bytes)
);

/* The packets of a job were encrypted; so many bytes of messages came of them. */
DEFINE_EVENT(wg_batch, wg_batch_sealed,
	TP_PROTO(int ifindex, u64 peer, u32 packets, u32 bytes),
	TP_ARGS(ifindex, peer, packets, bytes));

/* The messages of a job were decrypted; so many authentic packets came of them. */
DEFINE_EVENT(wg_batch, wg_batch_opened,
	TP_PROTO(int ifindex, u64 peer, u32 packets, u32 bytes),
	TP_ARGS(ifindex, peer, packets, bytes));

#endif

/* This part must be outside protection. */
#include <trace/define_trace.h>
