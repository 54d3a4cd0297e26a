//! A UDP socket that receives and sends many datagrams in one call (udp(7): `UDP_GRO` and
//! `UDP_SEGMENT`), without which a proxy would cost more than the two nodes it stands between.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The longest that a call returns: what fits into one IP packet.
const LONGEST: usize = 64 << 10;

/// How long a call waits for a datagram, so that a stopped proxy is noticed.
const WAIT: Duration = Duration::from_millis(50);

/// What the kernel keeps for us while we do something else.
const KEPT: libc::c_int = 16 << 20;

/// Control messages of one call: one integer, with its head and padding.
type Control = [u64; 8];

/// Datagrams of one size, only the last may be shorter.
pub struct Batch {
    bytes: Vec<u8>,
    segment: usize,
}

impl Batch {
    /// Bytes of all datagrams.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// How many datagrams.
    pub fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.segment).max(1)
    }

    /// Each datagram by itself.
    pub fn singles(&self) -> impl Iterator<Item = Batch> {
        self.bytes.chunks(self.segment).map(|bytes| Batch {
            bytes: bytes.to_vec(),
            segment: self.segment,
        })
    }
}

/// A socket on the loopback address.
pub struct Socket {
    socket: UdpSocket,
}

impl Socket {
    /// A socket at a port of the kernel's choice.
    pub fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(WAIT))?;
        let socket = Self { socket };
        // Root may pass the limit of the machine; others get as much as it allows.
        if socket
            .set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, KEPT)
            .is_err()
        {
            socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, KEPT)?;
        }
        socket.set(libc::SOL_UDP, libc::UDP_GRO, 1)?;
        Ok(socket)
    }

    /// Where it is bound.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends to `peer` and receives from it only.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    /// A buffer for [`Socket::receive`].
    pub fn buffer() -> Vec<u8> {
        vec![0; LONGEST]
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the socket is open, and the value is an integer of the size that is told.
        let outcome = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if outcome == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// The next datagrams of one sender, waiting a moment at most.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(Batch, SocketAddr)> {
        let mut control: Control = [0; 8];
        let mut piece = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: both are plain C structures for which zero is a value.
        let (mut name, mut message): (libc::sockaddr_in, libc::msghdr) =
            unsafe { (zeroed(), zeroed()) };
        message.msg_name = (&raw mut name).cast();
        message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Control>();
        // SAFETY: every pointer in the message is to a live variable of the length beside it.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let mut segment = length;
        // SAFETY: recvmsg has set the message's control fields for these macros to walk, and the
        // kernel's value of UDP_GRO is an int (udp(7)); `control` is aligned for the heads.
        unsafe {
            let mut head = libc::CMSG_FIRSTHDR(&raw const message);
            while let Some(found) = head.as_ref() {
                if found.cmsg_level == libc::SOL_UDP && found.cmsg_type == libc::UDP_GRO {
                    let value = libc::CMSG_DATA(head).cast::<libc::c_int>().read_unaligned();
                    segment = usize::try_from(value).unwrap_or(length);
                }
                head = libc::CMSG_NXTHDR(&raw const message, head);
            }
        }
        let sender = SocketAddrV4::new(
            Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)),
            u16::from_be(name.sin_port),
        );
        let batch = Batch {
            bytes: buffer[..length].to_vec(),
            segment: segment.max(1),
        };
        Ok((batch, sender.into()))
    }

    /// Sends a batch to `peer`, or to the one that the socket is connected to.
    pub fn send(&self, batch: &Batch, peer: Option<SocketAddr>) -> io::Result<()> {
        if batch.count() > 1 && self.send_many(batch, peer).is_ok() {
            return Ok(());
        }
        if batch.bytes.is_empty() {
            return self.send_one(&[], peer);
        }
        for datagram in batch.bytes.chunks(batch.segment) {
            self.send_one(datagram, peer)?;
        }
        Ok(())
    }

    fn send_one(&self, datagram: &[u8], peer: Option<SocketAddr>) -> io::Result<()> {
        match peer {
            Some(peer) => self.socket.send_to(datagram, peer),
            None => self.socket.send(datagram),
        }
        .map(drop)
    }

    /// One call that the kernel cuts into datagrams; it sends all or none.
    fn send_many(&self, batch: &Batch, peer: Option<SocketAddr>) -> io::Result<()> {
        let segment = u16::try_from(batch.segment).map_err(io::Error::other)?;
        let mut control: Control = [0; 8];
        let mut piece = libc::iovec {
            iov_base: batch.bytes.as_ptr().cast_mut().cast(),
            iov_len: batch.bytes.len(),
        };
        // SAFETY: both are plain C structures for which zero is a value.
        let (mut name, mut message): (libc::sockaddr_in, libc::msghdr) =
            unsafe { (zeroed(), zeroed()) };
        if let Some(SocketAddr::V4(peer)) = peer {
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = peer.port().to_be();
            name.sin_addr.s_addr = u32::from(*peer.ip()).to_be();
            message.msg_name = (&raw mut name).cast();
            message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        message.msg_iov = &raw mut piece;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: `control` is aligned for a head and has room for one head and a u16; every
        // pointer in the message is to a live variable of the length beside it, and sendmsg(2)
        // writes to none of them.
        let sent = unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint) as usize;
            let head = libc::CMSG_FIRSTHDR(&raw const message);
            (*head).cmsg_level = libc::SOL_UDP;
            (*head).cmsg_type = libc::UDP_SEGMENT;
            (*head).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) as usize;
            libc::CMSG_DATA(head).cast::<u16>().write_unaligned(segment);
            libc::sendmsg(self.socket.as_raw_fd(), &raw const message, 0)
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}
