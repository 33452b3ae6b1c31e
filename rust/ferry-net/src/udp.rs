//! TEMPORARY portable version.
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindAddress { Any, Ip(IpAddr) }
pub struct UdpPort { socket: std::net::UdpSocket, local: SocketAddr }
impl UdpPort {
    pub fn bind(address: BindAddress, port: u16) -> io::Result<Self> {
        let ip = match address { BindAddress::Any => IpAddr::V4(Ipv4Addr::UNSPECIFIED), BindAddress::Ip(ip) => ip };
        let socket = std::net::UdpSocket::bind((ip, port))?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }
    pub fn local_address(&self) -> SocketAddr { self.local }
    pub fn into_async(self) -> io::Result<AsyncPort> {
        Ok(AsyncPort { socket: tokio::net::UdpSocket::from_std(self.socket)?, buffer: vec![0; 65536] })
    }
}
pub struct AsyncPort { socket: tokio::net::UdpSocket, buffer: Vec<u8> }
impl AsyncPort {
    pub fn reaches_ipv6(&self) -> bool { false }
    pub async fn readable(&self) { let _ = self.socket.readable().await; }
    pub async fn writable(&self) { let _ = self.socket.writable().await; }
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        let mut n = 0;
        while n < 64 {
            match self.socket.try_recv_from(&mut self.buffer) {
                Ok((len, from)) => { each(from, &self.buffer[..len]); n += 1; }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => n += 1,
            }
        }
        Ok(n)
    }
    pub fn flush(&mut self, outgoing: &mut Outgoing) -> io::Result<Sent> {
        let mut sent = 0;
        for (to, data) in outgoing.list.drain(..) { let _ = self.socket.try_send_to(&data, to); sent += 1; }
        Ok(Sent { sent, blocked: false })
    }
}
pub struct Sent { pub sent: usize, pub blocked: bool }
pub struct Outgoing { list: Vec<(SocketAddr, Vec<u8>)>, buffer: Vec<u8> }
impl Outgoing {
    pub fn new() -> Self { Self { list: Vec::new(), buffer: vec![0; 4100] } }
    pub fn buffer(&mut self) -> Option<&mut [u8]> { if self.list.len() < 64 { Some(&mut self.buffer) } else { None } }
    pub fn push(&mut self, to: SocketAddr, len: usize) { self.list.push((to, self.buffer[..len].to_vec())); }
    pub fn is_empty(&self) -> bool { self.list.is_empty() }
}
#[allow(dead_code)]
pub fn v6() -> Ipv6Addr { Ipv6Addr::UNSPECIFIED }
