// SPDX-License-Identifier: GPL-2.0

//! TCP segmentation: which packets a TCP GSO packet stands for (`net/ipv4/tcp_offload.c`,
//! Documentation/networking/segmentation-offloads.rst).
//!
//! The headers of all are read and understood once; each packet is then written as a whole to where it is
//! encrypted, with one copy of its bytes, and without a buffer of its own.

#![forbid(unsafe_code)]

use core::num::NonZeroUsize;

/// The longest headers: IPv4's or TCP's with all options are 60 bytes each.
pub(crate) const MOST_HEADERS: usize = 60 + 60;

/// An IPv4 header without options, in bytes.
pub(crate) const IPV4_LEN: usize = 20;
/// An IPv6 header without extensions.
pub(crate) const IPV6_LEN: usize = 40;
/// A TCP header without options.
pub(crate) const TCP_LEN: usize = 20;
/// TCP's number in IP headers.
pub(crate) const PROTOCOL_TCP: u8 = 6;

/// TCP's flags in the byte behind the length of its header.
const FIN_PSH: u8 = 0b1001;
const CWR: u8 = 1 << 7;

/// What a GSO packet holds behind its headers.
pub(crate) trait Payload {
    /// Copies bytes from an offset into the packet. Returns their checksum, as [`sum`] has it; `None` if the
    /// packet does not reach that far.
    fn copy_and_sum(&self, offset: usize, to: &mut [u8]) -> Option<u32>;
}

/// Where the headers of a TCP packet over IPv4 or IPv6 are.
pub(crate) struct Layout {
    /// Where the TCP header begins.
    pub(crate) tcp: usize,
    /// How long both headers are.
    pub(crate) len: usize,
    /// How long the packet is, as it says.
    pub(crate) total: usize,
}

impl Layout {
    /// Reads the headers at the start of a packet. `None` if they are not of TCP, or of a fragment, or IPv6 has others
    /// in between.
    #[inline]
    pub(crate) fn read(start: &[u8]) -> Option<Self> {
        let (tcp, total) = match start.first()? >> 4 {
            4 => {
                let ip: &[u8; IPV4_LEN] = start.first_chunk()?;
                let no_fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0;
                let len = usize::from(ip[0] & 0xf) * 4;
                if ip[9] != PROTOCOL_TCP || !no_fragment || len < IPV4_LEN {
                    return None;
                }
                (len, usize::from(u16::from_be_bytes([ip[2], ip[3]])))
            }
            6 => {
                let ip: &[u8; IPV6_LEN] = start.first_chunk()?;
                if ip[6] != PROTOCOL_TCP {
                    return None;
                }
                let len = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
                (IPV6_LEN, IPV6_LEN + len)
            }
            _ => return None,
        };
        let header: &[u8; TCP_LEN] = start.get(tcp..)?.first_chunk()?;
        let tcp_len = usize::from(header[12] >> 4) * 4;
        let len = tcp + tcp_len;
        (tcp_len >= TCP_LEN).then_some(Self { tcp, len, total })
    }
}

/// The packets that a TCP GSO packet over IPv4 or IPv6 stands for.
pub(crate) struct TcpSegments {
    headers: [u8; MOST_HEADERS],
    /// Where the TCP header begins.
    tcp: usize,
    /// How long both headers are.
    len: usize,
    /// How many bytes of payload there are, and how many of them each packet has, but for the last.
    payload: usize,
    size: NonZeroUsize,
    /// The sums of what is the same in all packets: of IPv4's header, and of what TCP's checksum is of.
    ip_sum: u64,
    tcp_sum: u64,
}

impl TcpSegments {
    /// Reads the headers at the start of a GSO packet of `total` bytes, the payload of which is to be cut
    /// into pieces of `size` bytes. `None` if they are not understood, or are not those of all of it. Nor are IPv4's
    /// options: with a source route, the checksum of TCP is of another destination than the header's.
    pub(crate) fn parse(start: &[u8], total: usize, size: usize) -> Option<Self> {
        let Layout {
            tcp,
            len,
            total: says,
        } = Layout::read(start)?;
        let payload = total.checked_sub(len)?;
        let is_v4 = start.first()? >> 4 == 4;
        if says != total || payload == 0 || is_v4 && tcp != IPV4_LEN {
            return None;
        }
        let mut headers = [0; MOST_HEADERS];
        headers.get_mut(..len)?.copy_from_slice(start.get(..len)?);
        // Without what differs: length, number and checksum; sequence, flags and checksum.
        let (ip_sum, addresses) = if is_v4 {
            headers.get_mut(2..6)?.fill(0);
            headers.get_mut(10..12)?.fill(0);
            let sum_of_ip = sum(headers.get(..tcp)?);
            headers.get_mut(2..6)?.copy_from_slice(start.get(2..6)?);
            (sum_of_ip, headers.get(12..20)?)
        } else {
            (0, headers.get(8..40)?)
        };
        let header = headers.get(tcp..len)?;
        let tcp_sum = sum(addresses)
            + u64::from(u16::from(PROTOCOL_TCP).to_be())
            + sum(header.get(..4)?)
            + sum(header.get(8..12)?)
            + sum(header.get(14..16)?)
            + sum(header.get(18..)?);
        Some(Self {
            headers,
            tcp,
            len,
            payload,
            size: NonZeroUsize::new(size)?,
            ip_sum,
            tcp_sum,
        })
    }

    /// Returns where the TCP header begins.
    pub(crate) fn tcp_offset(&self) -> usize {
        self.tcp
    }

    /// Returns how many packets there are.
    pub(crate) fn count(&self) -> usize {
        // The last one has a byte at least.
        self.payload.saturating_sub(1) / self.size + 1
    }

    /// Returns how many bytes a packet has; zero if there is none of that number.
    #[inline]
    pub(crate) fn len_of(&self, number: usize) -> usize {
        match self.piece(number) {
            Some((_, len)) => self.len + len,
            None => 0,
        }
    }

    /// Returns where a packet's piece of the payload begins, and how long it is.
    #[inline]
    fn piece(&self, number: usize) -> Option<(usize, usize)> {
        let start = number.checked_mul(self.size.get())?;
        let rest = self.payload.checked_sub(start).filter(|rest| *rest != 0)?;
        Some((start, rest.min(self.size.get())))
    }

    /// Writes a packet. Returns `false`, and writes nothing useful, if `to` is not as long as it, or the
    /// payload is not as long as it was said to be.
    pub(crate) fn write(&self, number: usize, from: &impl Payload, to: &mut [u8]) -> bool {
        self.try_write(number, from, to).is_some()
    }

    /// Copies the headers to the start of a packet, to which the payload is copied next.
    #[inline]
    fn copy_headers(&self, to: &mut [u8]) -> Option<()> {
        // As many as most have, and some that the payload overwrites: words that are copied without a call.
        const USUAL: usize = 64;

        match (to.first_chunk_mut::<USUAL>(), self.headers.first_chunk()) {
            (Some(to), Some(headers)) if self.len <= USUAL => *to = *headers,
            _ => to
                .get_mut(..self.len)?
                .copy_from_slice(self.headers.get(..self.len)?),
        }
        Some(())
    }

    fn try_write(&self, number: usize, from: &impl Payload, to: &mut [u8]) -> Option<()> {
        let (start, len) = self.piece(number)?;
        self.copy_headers(to)?;
        let (headers, payload) = to.split_at_mut_checked(self.len)?;
        if payload.len() != len {
            return None;
        }
        let payload_sum = from.copy_and_sum(self.len + start, payload)?;
        let (ip, tcp) = headers.split_at_mut_checked(self.tcp)?;
        let total = u16::try_from(self.len + len).ok()?;
        if ip.first()? >> 4 == 6 {
            let payload_len = total.checked_sub(IPV6_LEN as u16)?;
            *ip.get_mut(4..6)?.first_chunk_mut()? = payload_len.to_be_bytes();
        } else {
            let id = u16::from_be_bytes(*ip.get(4..6)?.first_chunk()?).wrapping_add(number as u16);
            let check = !folded(self.ip_sum + u64::from(total.to_be()) + u64::from(id.to_be()));
            *ip.get_mut(2..4)?.first_chunk_mut()? = total.to_be_bytes();
            *ip.get_mut(4..6)?.first_chunk_mut()? = id.to_be_bytes();
            *ip.get_mut(10..12)?.first_chunk_mut()? = check.to_ne_bytes();
        }
        let tcp: &mut [u8; TCP_LEN] = tcp.first_chunk_mut()?;
        let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let [a, b, c, d] = sequence.wrapping_add(start as u32).to_be_bytes();
        [tcp[4], tcp[5], tcp[6], tcp[7]] = [a, b, c, d];
        if number + 1 != self.count() {
            tcp[13] &= !FIN_PSH;
        }
        if number != 0 {
            tcp[13] &= !CWR;
        }
        let tcp_len = total.checked_sub(self.tcp as u16)?;
        let words = [[a, b], [c, d], [tcp[12], tcp[13]], tcp_len.to_be_bytes()];
        let words = words.map(|word| u64::from(u16::from_ne_bytes(word)));
        let all = self.tcp_sum + u64::from(payload_sum) + words.iter().sum::<u64>();
        [tcp[16], tcp[17]] = (!folded(all)).to_ne_bytes();
        Some(())
    }
}

/// The sum of bytes taken as numbers of 16 bits, in the machine's order: the order does not matter to
/// Internet checksums (RFC 1071) as long as it is always the same.
#[inline]
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|word| match *word {
        [first, second] => u16::from_ne_bytes([first, second]),
        [last] => u16::from_ne_bytes([last, 0]),
        _ => 0,
    });
    words.map(u64::from).sum()
}

/// A sum as a number of 16 bits.
#[inline]
pub(crate) fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
