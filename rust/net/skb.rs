// SPDX-License-Identifier: GPL-2.0

//! Socket buffers: packets on their way through the kernel.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::{mem::ManuallyDrop, net::IpAddr, ptr::NonNull};
use kernel::{
    error::{from_err_ptr, to_result},
    prelude::*,
};

use super::{device::NetDevice, drop_reason::DropReason, skb_list::SkbList};
use crate::{bindings, gfp::Gfp};

/// The protocol of a packet's outermost header, as in the EtherType field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `ETH_P_IP`
    Ipv4,
    /// `ETH_P_IPV6`
    Ipv6,
}

impl Protocol {
    /// Returns the source in an IP header, if that is long enough.
    #[inline]
    pub(crate) fn source(self, header: &[u8]) -> Option<IpAddr> {
        match self {
            Self::Ipv4 => address_at::<4>(header, 12),
            Self::Ipv6 => address_at::<16>(header, 8),
        }
    }

    /// Returns the destination in an IP header, if that is long enough.
    #[inline]
    pub(crate) fn destination(self, header: &[u8]) -> Option<IpAddr> {
        match self {
            Self::Ipv4 => address_at::<4>(header, 16),
            Self::Ipv6 => address_at::<16>(header, 24),
        }
    }
}

#[inline]
fn address_at<const N: usize>(header: &[u8], at: usize) -> Option<IpAddr>
where
    IpAddr: From<[u8; N]>,
{
    Some(IpAddr::from(*header.get(at..)?.first_chunk::<N>()?))
}

/// An owned socket buffer (`struct sk_buff`).
///
/// Dropping it frees it as a dropped packet (`kfree_skb`), [`Self::drop_for`] as one that was dropped
/// for a reason; [`Self::consume`] frees it as one that was delivered.
///
/// # Invariants
///
/// `ptr` is a valid buffer of which this object owns one use, and which is on no list.
#[repr(transparent)]
pub(crate) struct SkBuff {
    ptr: NonNull<bindings::sk_buff>,
}

// SAFETY: Socket buffers may be handed from thread to thread.
unsafe impl Send for SkBuff {}
// SAFETY: Shared access only reads.
unsafe impl Sync for SkBuff {}

/// What tells flows of packets and their senders apart: a hash of addresses and ports, and the socket that a
/// packet is accounted to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    hash: u32,
    socket: usize,
}

/// What the driver remembers about a packet while it owns it (in the control buffer, `skb->cb`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Control {
    /// A 64-bit number.
    pub(crate) number: u64,
    /// A length.
    pub(crate) length: u32,
    /// How many messages the packet makes.
    pub(crate) messages: u32,
    /// A byte of the IP header.
    pub(crate) ds: u8,
}

// Behind it is what cuts GSO packets (`SKB_GSO_CB_OFFSET`).
const _: () = assert!(size_of::<Control>() <= 32);

/// No buffer is allocated with more headroom, so that all offsets of headers fit.
const MOST_HEADROOM: usize = 4096;
/// No buffer is allocated for more data, so that no sum of sizes overflows: far more than the largest
/// packet.
const MOST_BYTES: usize = 1 << 20;

impl SkBuff {
    /// Takes over a buffer.
    ///
    /// # Safety
    ///
    /// The caller owns one use of the valid buffer `ptr`, which is on no list, and gives it up.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the safety requirement.
        Self { ptr }
    }

    /// Gives the buffer away.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::sk_buff> {
        ManuallyDrop::new(self).ptr
    }

    /// Lends the C object.
    pub(super) fn with_raw<R>(&mut self, f: impl FnOnce(*mut bindings::sk_buff) -> R) -> R {
        f(self.raw())
    }

    #[inline]
    fn raw(&self) -> *mut bindings::sk_buff {
        self.ptr.as_ptr()
    }

    #[inline]
    fn skb(&self) -> &bindings::sk_buff {
        // SAFETY: The buffer is valid by the type invariant.
        unsafe { self.ptr.as_ref() }
    }

    #[inline]
    fn headers(&self) -> &bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 {
        // SAFETY: Both views of the union are the same fields (`struct_group`).
        unsafe { self.skb().__bindgen_anon_4.headers.as_ref() }
    }

    #[inline]
    fn headers_mut(&mut self) -> &mut bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 {
        // SAFETY: Both views of the union are the same fields (`struct_group`); the buffer is
        // ours.
        unsafe { (*self.raw()).__bindgen_anon_4.headers.as_mut() }
    }

    #[inline]
    fn shared_info(&self) -> *mut bindings::skb_shared_info {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_shinfo(self.raw()) }
    }

    /// Allocates a buffer with `headroom` bytes reserved in front of `len` uninitialised bytes, and
    /// lets `fill` write the latter and all of the headroom's last `scratch` bytes.
    ///
    /// `fill` gets one slice: the scratch, then the data, zeroed. Context: that of `gfp`.
    /// Errors: `ENOMEM`, and those of `fill`.
    pub(crate) fn alloc_with(
        headroom: usize,
        scratch: usize,
        len: usize,
        gfp: Gfp,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Self> {
        if scratch > headroom {
            return Err(EINVAL);
        }
        if headroom > MOST_HEADROOM || len > MOST_BYTES {
            return Err(ENOMEM);
        }
        // SAFETY: No requirements.
        let ptr = unsafe { bindings::alloc_skb((headroom + len) as u32, gfp.raw()) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // SAFETY: The new buffer has room for `headroom + len` bytes.
        unsafe {
            bindings::skb_reserve(ptr.as_ptr(), headroom as i32);
            // INVARIANT: The new buffer is ours.
            let mut skb = Self { ptr };
            fill(skb.extend(scratch, len))?;
            Ok(skb)
        }
    }

    /// Allocates a buffer for a received packet of `len` bytes with at least 64 bytes of headroom,
    /// and lets `fill` write the last 64 bytes of the headroom and the data.
    ///
    /// Context: any but hard interrupts. Errors: `ENOMEM`, and those of `fill`.
    pub(crate) fn alloc_received(
        dev: &NetDevice,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Self> {
        const SCRATCH: usize = 64;
        if len > MOST_BYTES {
            return Err(ENOMEM);
        }
        // SAFETY: The device is valid.
        let ptr = unsafe { bindings::netdev_alloc_skb(dev.as_raw(), len as u32) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // INVARIANT: The new buffer is ours.
        let mut skb = Self { ptr };
        if skb.headroom() < SCRATCH {
            return Err(ENOMEM);
        }
        // SAFETY: The buffer was allocated for `len` bytes, and has the headroom just checked.
        fill(unsafe { skb.extend(SCRATCH, len) })?;
        Ok(skb)
    }

    /// Extends the data by `len` zeroed bytes and returns them with `scratch` bytes of what is in
    /// front of them.
    ///
    /// # Safety
    ///
    /// The buffer is linear, empty, and has `scratch` bytes of headroom and `len` of tailroom.
    unsafe fn extend(&mut self, scratch: usize, len: usize) -> &mut [u8] {
        // SAFETY: By the safety requirements, all of this is inside the buffer's allocation. What
        // is handed out is initialised here.
        unsafe {
            let data = bindings::skb_put(self.raw(), len as u32).cast::<u8>();
            let start = data.sub(scratch);
            core::ptr::write_bytes(start, 0, scratch + len);
            core::slice::from_raw_parts_mut(start, scratch + len)
        }
    }

    /// Allocates a buffer with `headroom` bytes reserved and nothing in it, for pieces to be added.
    ///
    /// Context: that of `gfp`. Errors: `ENOMEM`.
    pub(crate) fn alloc_empty(headroom: usize, gfp: Gfp) -> Result<Self> {
        Self::alloc_with(headroom, 0, 0, gfp, |_| Ok(()))
    }

    /// Appends the bytes of a piece from `offset` on to a packet without a linear part.
    ///
    /// Errors: `ENOSPC` if the packet has as many pieces as it can, `EINVAL` if there is nothing
    /// behind `offset`, or the packet's size was accounted to a socket already.
    pub(crate) fn append(&mut self, piece: Piece, offset: usize) -> Result {
        let len = piece.len.checked_sub(offset).ok_or(EINVAL)?;
        if !self.skb().sk.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The shared info of a valid buffer is valid.
        let count = usize::from(unsafe { (*self.shared_info()).nr_frags });
        if len == 0 {
            return Err(EINVAL);
        }
        if count >= bindings::MAX_SKB_FRAGS as usize {
            return Err(ENOSPC);
        }
        let piece = ManuallyDrop::new(piece);
        // SAFETY: The piece's memory has `len` bytes behind `offset`, and the buffer takes over its
        // reference to the page; there is room for another fragment.
        unsafe {
            bindings::skb_add_rx_frag(
                self.raw(),
                count as i32,
                piece.data.as_ptr().add(offset).cast(),
                len as i32,
                piece.size as u32,
            )
        };
        Ok(())
    }

    /// Makes the packet stand for `count` datagrams of `size` bytes each, the last one possibly
    /// shorter, which the device or the IP layer cuts it into (UDP GSO). Its UDP header is pushed
    /// next.
    ///
    /// Errors: `EINVAL` if that cannot be the packet's length.
    pub(crate) fn set_datagrams(&mut self, size: usize, count: usize) -> Result {
        const UDP_HEADER: usize = 8;
        const UDP_CHECKSUM: u16 = 6;

        let fits = count > 1
            && size.checked_mul(count).is_some_and(|all| all >= self.len())
            && size
                .checked_mul(count - 1)
                .is_some_and(|most| most < self.len());
        let start = self.headroom().checked_sub(UDP_HEADER).ok_or(EINVAL)?;
        if !fits {
            return Err(EINVAL);
        }
        let size = u16::try_from(size).map_err(|_| EINVAL)?;
        let count = u16::try_from(count).map_err(|_| EINVAL)?;
        let fields = bindings::sk_buff__bindgen_ty_4__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1 {
            csum_start: start as u16,
            csum_offset: UDP_CHECKSUM,
        };
        self.headers_mut().__bindgen_anon_1.__bindgen_anon_1 = fields;
        // SAFETY: The buffer and its shared info are valid.
        unsafe {
            let shared = self.shared_info();
            (*shared).gso_size = size;
            (*shared).gso_segs = count;
            (*shared).gso_type = bindings::SKB_GSO_UDP_L4 as u32;
            bindings::skb_set_csum_partial(self.raw());
        }
        Ok(())
    }

    /// Returns how many datagrams or packets this one stands for.
    #[inline]
    pub(crate) fn parts(&self) -> usize {
        // SAFETY: The shared info of a valid buffer is valid.
        usize::from(unsafe { (*self.shared_info()).gso_segs }).max(1)
    }

    /// Returns how many bytes each of the datagrams has that this one stands for, but for the last; zero if
    /// it stands for itself only.
    #[inline]
    pub(crate) fn datagram_size(&self) -> usize {
        // SAFETY: The shared info of a valid buffer is valid.
        usize::from(unsafe { (*self.shared_info()).gso_size })
    }

    /// Returns the length of the packet in bytes, from its current start.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.skb().len as usize
    }

    /// Returns how many bytes are free in front of the data.
    #[inline]
    fn headroom(&self) -> usize {
        // CAST: `data` never is in front of `head`.
        self.skb().data as usize - self.skb().head as usize
    }

    /// Returns the part of the packet that is in one piece at its start.
    #[inline]
    pub(crate) fn linear(&self) -> &[u8] {
        let skb = self.skb();
        // SAFETY: The first `len - data_len` bytes are at `data`.
        unsafe { core::slice::from_raw_parts(skb.data, (skb.len - skb.data_len) as usize) }
    }

    /// Makes the first `len` bytes one piece and returns them; `None` if the packet is shorter or
    /// memory is short.
    #[inline]
    pub(crate) fn pull_linear(&mut self, len: usize) -> Option<&[u8]> {
        if self.linear().len() < len {
            // SAFETY: The buffer is valid.
            let pulled = unsafe { bindings::pskb_may_pull(self.raw(), u32::try_from(len).ok()?) };
            if !pulled {
                return None;
            }
        }
        self.linear().get(..len)
    }

    /// Takes `len` bytes off the front, which stay available as headers.
    ///
    /// Returns `false`, and does nothing, if they are not in the linear part.
    #[inline]
    pub(crate) fn pull(&mut self, len: usize) -> bool {
        if self.linear().len() < len {
            return false;
        }
        // SAFETY: The buffer is valid and has these bytes in its linear part.
        unsafe { bindings::skb_pull(self.raw(), len as u32) };
        true
    }

    /// Shortens the packet. Errors: `ENOMEM`.
    pub(crate) fn trim(&mut self, len: usize) -> Result {
        if len >= self.len() {
            return Ok(());
        }
        // SAFETY: The buffer is valid.
        to_result(unsafe { bindings::pskb_trim(self.raw(), len as u32) })
    }

    /// Copies bytes out of the packet, whatever pieces it consists of.
    ///
    /// Errors: `EFAULT` if the packet does not reach that far.
    #[inline]
    pub(crate) fn copy_bits(&self, offset: usize, to: &mut [u8]) -> Result {
        let offset = i32::try_from(offset).map_err(|_| EFAULT)?;
        let len = i32::try_from(to.len()).map_err(|_| EFAULT)?;
        // SAFETY: The buffer is valid, and `to` is valid for writes of its length.
        to_result(unsafe {
            bindings::skb_copy_bits(self.raw(), offset, to.as_mut_ptr().cast(), len)
        })
    }

    /// Copies the whole packet out, computing the checksum that was left for the hardware on the
    /// way (`skb_copy_and_csum_dev`). Where that is zero it becomes all ones, which is the same number
    /// to a receiver: in UDP, zero stands for none, and over IPv6 there must be one.
    ///
    /// Returns `false`, and writes nothing useful, if `to` is not as long as the packet or the
    /// packet's checksum fields are out of its bounds.
    pub(crate) fn copy_finished(&self, to: &mut [u8]) -> bool {
        if to.len() != self.len() {
            return false;
        }
        // SAFETY: The buffer is valid.
        if unsafe { bindings::skb_is_csum_partial(self.raw()) } {
            // SAFETY: All views of the union are plain integers.
            let fields = unsafe { self.headers().__bindgen_anon_1.__bindgen_anon_1 };
            let start = usize::from(fields.csum_start).checked_sub(self.headroom());
            let Some(start) = start.filter(|start| *start <= self.linear().len()) else {
                return false;
            };
            let at = start.saturating_add(usize::from(fields.csum_offset));
            if at.saturating_add(2) > to.len() {
                return false;
            }
            // SAFETY: `to` has room for the whole packet, and the checksum fields were checked.
            unsafe { bindings::skb_copy_and_csum_dev(self.raw(), to.as_mut_ptr()) };
            if let Some(sum @ [0, 0]) = to.get_mut(at..at + 2) {
                sum.fill(0xff);
            }
            return true;
        }
        self.copy_bits(0, to).is_ok()
    }

    /// Returns the protocol of a packet that starts with an IP header of the version its
    /// `skb->protocol` says; `None` for anything else.
    #[inline]
    pub(crate) fn ip_protocol(&self) -> Option<Protocol> {
        // SAFETY: The buffer is valid.
        let parsed = unsafe { bindings::ip_tunnel_parse_protocol(self.raw()) };
        if parsed == 0 || parsed != self.headers().protocol {
            return None;
        }
        match u32::from(u16::from_be(parsed)) {
            bindings::ETH_P_IP => Some(Protocol::Ipv4),
            bindings::ETH_P_IPV6 => Some(Protocol::Ipv6),
            _ => None,
        }
    }

    /// Returns `skb->protocol` if it is one of IP, whatever the packet holds.
    #[inline]
    pub(crate) fn declared_protocol(&self) -> Option<Protocol> {
        match u32::from(u16::from_be(self.headers().protocol)) {
            bindings::ETH_P_IP => Some(Protocol::Ipv4),
            bindings::ETH_P_IPV6 => Some(Protocol::Ipv6),
            _ => None,
        }
    }

    /// Returns the linear part from the network header on.
    #[inline]
    pub(crate) fn network_header(&self) -> &[u8] {
        self.linear_from(self.headers().network_header)
    }

    /// Returns the linear part from the transport header on.
    #[inline]
    pub(crate) fn transport_header(&self) -> &[u8] {
        self.linear_from(self.headers().transport_header)
    }

    /// Returns the linear part from an offset into the buffer on.
    #[inline]
    fn linear_from(&self, offset: u16) -> &[u8] {
        // Elsewhere `tail` is a pointer.
        const { assert!(usize::BITS == 64) };

        let skb = self.skb();
        let end = skb.tail as usize;
        let start = usize::from(offset).min(end);
        // SAFETY: `head` is where the buffer's allocation begins, whose bytes up to `tail` are
        // initialised memory of the buffer.
        unsafe { core::slice::from_raw_parts(skb.head.add(start), end - start) }
    }

    /// Returns the index of the interface that a datagram of a socket came in by; if that is one of a
    /// VRF, the interface and not the VRF.
    #[inline]
    pub(crate) fn incoming_interface(&self) -> i32 {
        // SAFETY: The buffer is valid. Whatever its control buffer holds, a number is read from it.
        unsafe { bindings::skb_ingress_ifindex(self.raw()) }
    }

    /// Returns the DS field (type of service, traffic class) of the packet's IP header.
    #[inline]
    pub(crate) fn ds_field(&self) -> u8 {
        // SAFETY: The buffer is valid; its network header was set by the IP layer.
        unsafe { bindings::ip_tunnel_get_dsfield(self.raw()) }
    }

    /// Returns the DS field for an outer header: `ds` with the ECN bits of the packet's IP header
    /// as RFC 6040 wants them when encapsulating.
    #[inline]
    pub(crate) fn ecn_for_outer(&self, ds: u8) -> u8 {
        // SAFETY: The buffer is valid; the function looks at the header only for IP packets, which
        // `ip_protocol` has checked to be there.
        unsafe { bindings::ip_tunnel_ecn_encap(ds, self.raw()) }
    }

    /// Returns whether the packet stands for several that are yet to be cut (GSO).
    #[inline]
    pub(crate) fn is_gso(&self) -> bool {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_is_gso(self.raw()) }
    }

    /// Cuts a GSO packet. The pieces share its memory and may have their checksums unfinished.
    ///
    /// Errors: `ENOMEM`, `EINVAL` if its headers are broken, `EPROTONOSUPPORT`; it is dropped. A
    /// packet that needs no cutting comes back as it is.
    pub(crate) fn segment(self) -> Result<SkbList> {
        // SAFETY: The buffer is valid.
        let segments = from_err_ptr(unsafe {
            bindings::skb_gso_segment(self.raw(), bindings::segment_features())
        });
        let segments = match segments {
            Ok(segments) => segments,
            Err(e) => {
                self.drop_for(DropReason::SkbGsoSeg);
                return Err(e);
            }
        };
        let mut list;
        if segments.is_null() {
            list = SkbList::new();
            list.push_back(self);
        } else {
            // SAFETY: The callee returned a chain of buffers that is ours.
            list = unsafe { SkbList::from_chain(segments) };
            self.consume();
        }
        Ok(list)
    }

    /// Returns the MTU of the route that the packet was sent by, zero if it has none.
    #[inline]
    pub(crate) fn route_mtu(&self) -> usize {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_dst_mtu(self.raw()) as usize }
    }

    /// Lets go of the route that the packet was sent by.
    #[inline]
    pub(crate) fn drop_route(&mut self) {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_dst_drop(self.raw()) };
    }

    /// Lets go of the socket that the packet is accounted to.
    pub(crate) fn orphan(&mut self) {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_orphan(self.raw()) };
    }

    /// Takes a buffer that nobody else uses: itself, or a copy of its descriptor if it is shared.
    ///
    /// Returns `None` if memory is short.
    pub(crate) fn unshare(self) -> Option<Self> {
        let ptr = self.into_raw();
        // SAFETY: The buffer is valid; the callee takes our use and returns one.
        let ptr = unsafe { bindings::skb_share_check(ptr.as_ptr(), Gfp::Atomic.raw()) };
        // INVARIANT: The use that the callee returned is ours.
        Some(Self {
            ptr: NonNull::new(ptr)?,
        })
    }

    /// Accounts this packet to the socket that `from` is accounted to, instead of `from`.
    ///
    /// Used when a packet is re-encoded into another buffer, so that the sender keeps waiting
    /// until that one has left, and is told when, if it asked for that.
    pub(crate) fn take_owner(&mut self, from: &mut Self) {
        // SAFETY: Both buffers are valid.
        unsafe {
            let (to, from) = (self.raw(), from.raw());
            let sk = (*from).sk;
            if sk.is_null() || !bindings::is_skb_wmem(from) {
                return;
            }
            // The destructor will give back the new buffer's size instead of the old one's.
            let delta = (*to).truesize as i32 - (*from).truesize as i32;
            bindings::refcount_add_wmem(sk, delta);
            (*to).sk = sk;
            (*to).__bindgen_anon_3.__bindgen_anon_1.destructor =
                (*from).__bindgen_anon_3.__bindgen_anon_1.destructor;
            (*from).sk = core::ptr::null_mut();
            (*from).__bindgen_anon_3.__bindgen_anon_1.destructor = None;
            let (to, from) = (bindings::skb_shinfo(to), bindings::skb_shinfo(from));
            (*to).tx_flags = (*from).tx_flags;
            (*to).tskey = (*from).tskey;
        }
    }

    /// As [`Self::take_owner`], but for a part of what is in `from`, another part of which takes the owner
    /// later: until then both are accounted.
    pub(crate) fn share_owner(&mut self, from: &Self) {
        // SAFETY: Both buffers are valid. The socket lives for as long as one of them is accounted to it, and
        // the new one is from here on.
        unsafe {
            let (to, from) = (self.raw(), from.raw());
            let sk = (*from).sk;
            if sk.is_null() || !(*to).sk.is_null() || !bindings::is_skb_wmem(from) {
                return;
            }
            bindings::refcount_add_wmem(sk, (*to).truesize as i32);
            (*to).sk = sk;
            (*to).__bindgen_anon_3.__bindgen_anon_1.destructor =
                (*from).__bindgen_anon_3.__bindgen_anon_1.destructor;
        }
    }

    /// Returns how the packet is to be cut, if it is a TCP GSO packet over IPv4 or IPv6 with nothing special about
    /// it: how much payload each piece gets, and where the header with the checksum begins.
    ///
    /// Special are tunnels, checksums that are there already, IPv4 numbers that stay the same, accurate ECN,
    /// what user space says without proof (`SKB_GSO_DODGY`), and pages that the CPU cannot read.
    #[inline]
    pub(crate) fn plain_tcp_gso(&self) -> Option<(usize, usize)> {
        const PLAIN: u32 =
            (bindings::SKB_GSO_TCPV4 | bindings::SKB_GSO_TCPV6 | bindings::SKB_GSO_TCP_ECN) as u32;
        const TCP_CHECKSUM: u16 = 16;

        // SAFETY: The buffer and its shared info are valid; all views of the union are plain integers.
        let (kind, size, fields) = unsafe {
            let shared = self.shared_info();
            let fields = self.headers().__bindgen_anon_1.__bindgen_anon_1;
            ((*shared).gso_type, (*shared).gso_size, fields)
        };
        if kind == 0 || kind & !PLAIN != 0 || fields.csum_offset != TCP_CHECKSUM {
            return None;
        }
        // SAFETY: The buffer is valid.
        if !unsafe { bindings::skb_is_simple_to_cut(self.raw()) } {
            return None;
        }
        let start = usize::from(fields.csum_start).checked_sub(self.headroom())?;
        Some((usize::from(size), start))
    }

    /// Copies bytes out of the packet. Returns their Internet checksum, not folded (`skb_copy_and_csum_bits`);
    /// `None`, and copies nothing, if the packet does not reach that far.
    #[inline]
    pub(crate) fn copy_and_sum(&self, offset: usize, to: &mut [u8]) -> Option<u32> {
        if offset.checked_add(to.len())? > self.len() {
            return None;
        }
        let (offset, len) = (i32::try_from(offset).ok()?, i32::try_from(to.len()).ok()?);
        // SAFETY: The buffer is valid and has these bytes, and `to` is valid for writes of as many.
        Some(unsafe { bindings::skb_copy_and_csum_bits(self.raw(), offset, to.as_mut_ptr(), len) })
    }

    /// Returns whether the sender wants to be told when the packet leaves (`SO_TIMESTAMPING`).
    #[inline]
    pub(crate) fn wants_timestamp(&self) -> bool {
        // SAFETY: The shared info of a valid buffer is valid.
        unsafe { (*self.shared_info()).tx_flags != 0 }
    }

    /// Gives this packet the flow hash of another, computing it if need be, so that the flow
    /// stays together on multi-queue devices though its headers can no longer be seen.
    pub(crate) fn copy_flow_hash(&mut self, from: &mut Self) {
        // SAFETY: Both buffers are valid.
        unsafe {
            bindings::skb_get_hash(from.raw());
            bindings::skb_copy_hash(self.raw(), from.raw());
        }
    }

    /// Returns the flow that the packet belongs to; its hash is computed if it is not known yet.
    #[inline]
    pub(crate) fn flow(&self) -> Flow {
        Flow {
            // SAFETY: The buffer is valid. Only the hash in it is written, which nobody else uses.
            hash: unsafe { bindings::skb_get_hash(self.raw()) },
            socket: self.skb().sk as usize,
        }
    }

    /// Reads what [`Self::set_control`] wrote.
    #[inline]
    pub(crate) fn control(&self) -> Control {
        // SAFETY: The control buffer is larger than `Control`, which any bytes are valid for.
        unsafe { self.skb().cb.as_ptr().cast::<Control>().read_unaligned() }
    }

    /// Notes something about the packet.
    #[inline]
    pub(crate) fn set_control(&mut self, control: Control) {
        // SAFETY: The control buffer is larger than `Control`, and ours.
        unsafe {
            (*self.raw())
                .cb
                .as_mut_ptr()
                .cast::<Control>()
                .write_unaligned(control)
        };
    }

    /// Turns a buffer with an IP packet at its start into one received by `dev`, whose contents
    /// are known to be what the other side sent: all checksums count as verified.
    pub(crate) fn set_received(&mut self, dev: &NetDevice, protocol: Protocol) {
        let offset = self.headroom() as u16;
        let headers = self.headers_mut();
        headers.protocol = match protocol {
            Protocol::Ipv4 => (bindings::ETH_P_IP as u16).to_be(),
            Protocol::Ipv6 => (bindings::ETH_P_IPV6 as u16).to_be(),
        };
        headers.mac_header = offset;
        headers.network_header = offset;
        headers.transport_header = offset;
        // SAFETY: The buffer and the device are valid.
        unsafe {
            (*self.raw())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev.as_raw();
            bindings::skb_set_csum_unnecessary(self.raw());
        }
    }

    /// Applies the congestion mark of the outer header that the packet came in (RFC 6040).
    ///
    /// `inner` is the packet's own DS field. A combination that the RFC calls invalid is let
    /// through unchanged.
    pub(crate) fn apply_outer_ecn(&mut self, outer: u8, inner: u8) {
        // SAFETY: The buffer is valid and its network header is set.
        let _ = unsafe { bindings::INET_ECN_decapsulate(self.raw(), outer, inner) };
    }

    /// Gets a buffer that holds the payload of a datagram ready to be sent through `dev`.
    pub(super) fn prepare_sending(&mut self, dev: &NetDevice, mark: u32) -> Result {
        const UDP_AND_IPV6: usize = 8 + 40;

        if self.headroom() < UDP_AND_IPV6 {
            return Err(EINVAL);
        }
        let offset = self.headroom() as u16;
        let headers = self.headers_mut();
        headers.inner_network_header = offset;
        headers.network_header = offset;
        headers.transport_header = offset;
        headers.__bindgen_anon_4.mark = mark;
        // SAFETY: The buffer and the device are valid.
        unsafe {
            (*self.raw())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev.as_raw();
            bindings::skb_set_ignore_df(self.raw());
        }
        Ok(())
    }

    /// Drops the packet for a reason. Always inline: the kernel notes who called it.
    #[inline(always)]
    pub(crate) fn drop_for(self, reason: DropReason) {
        let ptr = self.into_raw().as_ptr();
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::sk_skb_reason_drop(core::ptr::null_mut(), ptr, reason as u32) };
    }

    /// Frees the buffer of a packet that met no misfortune (`consume_skb`).
    #[inline]
    pub(crate) fn consume(self) {
        let ptr = self.into_raw();
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::consume_skb(ptr.as_ptr()) };
    }
}

/// Memory for a piece of a packet, in one or several adjacent pages.
///
/// # Invariants
///
/// `data` points at `len` initialised bytes at the start of pages of `size` bytes in all, on which
/// this object owns a reference.
pub(crate) struct Piece {
    data: NonNull<u8>,
    len: usize,
    size: usize,
}

impl Piece {
    /// The most bytes that a piece can have: as many as the page allocator keeps at hand.
    pub(crate) const MAX: usize = 32768;

    /// Allocates a piece of zeros. Context: any but hard interrupts. Errors: `ENOMEM`, also if it is
    /// longer than [`Self::MAX`].
    pub(crate) fn alloc(len: usize) -> Result<Self> {
        if len == 0 || len > Self::MAX {
            return Err(ENOMEM);
        }
        // SAFETY: No requirements.
        let (order, data) = unsafe {
            let order = bindings::get_order(len);
            (order, bindings::alloc_zeroed_pages(order))
        };
        // INVARIANT: Just allocated, zeroed, and at least as long as asked for.
        Ok(Self {
            data: NonNull::new(data.cast::<u8>()).ok_or(ENOMEM)?,
            len,
            size: kernel::page::PAGE_SIZE << order,
        })
    }

    /// Gives up the bytes from `len` on.
    pub(crate) fn shorten(&mut self, len: usize) {
        // INVARIANT: The bytes before are as initialised as they were.
        self.len = self.len.min(len);
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: By the type invariant; the reference to the page is ours alone.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and given up here.
        unsafe { bindings::skb_free_frag(self.data.as_ptr().cast()) };
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        let reason = DropReason::NotSpecified as u32;
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::sk_skb_reason_drop(core::ptr::null_mut(), self.raw(), reason) };
    }
}
