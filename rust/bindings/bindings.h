/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's headers that the safe layers of this folder wrap; bindgen reads them. */

#include <linux/types.h>
#include <linux/dynamic_debug.h>
#include <linux/ethtool.h>
#include <linux/icmpv6.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/inetdevice.h>
#include <linux/ipv6.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/sched/isolation.h>
#include <linux/siphash.h>
#include <linux/skbuff.h>
#include <linux/skbuff_ref.h>
#include <linux/suspend.h>
#include <linux/timekeeping.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <net/addrconf.h>
#include <net/dst_cache.h>
#include <net/dst_metadata.h>
#include <net/genetlink.h>
#include <net/gro.h>
#include <net/gso.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip_tunnels.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/page_pool/helpers.h>
#include <net/route.h>
#include <net/rtnetlink.h>
#include <net/sch_generic.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>
#include <crypto/blake2s.h>
#include <crypto/chacha.h>
#include <crypto/chacha20poly1305.h>
#include <crypto/curve25519.h>
#include <crypto/poly1305.h>
#include <crypto/utils.h>
#include <uapi/linux/wireguard.h>

#include "../tracepoints.h"
#include "wg_monitor.h"

/* What bindgen does not evaluate: macros that look like functions. */
enum {
	WIREGUARD_MCAST_CAP_NET_ADMIN = GENL_MCAST_CAP_NET_ADMIN,
	WIREGUARD_HZ = HZ,
};
