//! A SOCKS proxy.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// The name that version 4a resolves.
const NAME: &str = "api.invalid";

/// The behavior of a SOCKS proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Socks {
    Connects,
    /// Requires the user name `user` and the password `secret`.
    WantsPassword,
    Refuses,
}

/// Starts a SOCKS proxy of version 4 or 5 that connects every client to one server. The clients must request this port.
pub(crate) fn socks_to(target: SocketAddr, port: u16, socks: Socks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let version = read(&mut stream, 1)[0];
                let is_open = match version {
                    4 => greet_4(&mut stream, port, socks),
                    _ => greet_5(&mut stream, port, socks),
                };
                if !is_open {
                    return;
                }
                let mut server = TcpStream::connect(target).unwrap();
                let (mut from, mut to) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let _ = std::io::copy(&mut server, &mut stream);
            });
        }
    });
    address
}

/// Reads `count` bytes. They are zeros if the client disconnects.
fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let _ = stream.read_exact(&mut bytes);
    bytes
}

/// Reads a text that ends with a zero byte.
fn read_text(stream: &mut TcpStream) -> Vec<u8> {
    let bytes = std::iter::repeat_with(|| read(stream, 1)[0]);
    bytes.take_while(|byte| *byte != 0).collect()
}

/// Handles version 4, and 4a with a name at the end. Returns whether the connection is open.
fn greet_4(stream: &mut TcpStream, port: u16, socks: Socks) -> bool {
    // Command, port and address, then the user.
    let request = read(stream, 7);
    assert_eq!(request[1..3], port.to_be_bytes());
    read_text(stream);
    let is_name = request[3..6] == [0, 0, 0] && request[6] != 0;
    if is_name {
        assert_eq!(read_text(stream), NAME.as_bytes());
    }
    let is_open = !matches!(socks, Socks::Refuses);
    stream
        .write_all(&[0, if is_open { 90 } else { 91 }, 0, 0, 0, 0, 0, 0])
        .unwrap();
    is_open
}

/// Handles version 5. Returns whether the connection is open.
fn greet_5(stream: &mut TcpStream, port: u16, socks: Socks) -> bool {
    const PASSWORD: u8 = 2;
    let count = read(stream, 1)[0];
    let methods = read(stream, usize::from(count));
    if matches!(socks, Socks::WantsPassword) {
        assert!(methods.contains(&PASSWORD), "{methods:?}");
        stream.write_all(&[5, PASSWORD]).unwrap();
        assert_eq!(read(stream, 13), b"\x01\x04user\x06secret");
        stream.write_all(&[1, 0]).unwrap();
    } else {
        stream.write_all(&[5, 0]).unwrap();
    }
    // Version, command, zero and the type of address. The length comes before a name.
    let length = match read(stream, 4)[3] {
        1 => 4,
        3 => usize::from(read(stream, 1)[0]),
        kind => panic!("an address of kind {kind}"),
    };
    let place = read(stream, length + 2);
    assert_eq!(place[length..], port.to_be_bytes());
    let is_open = !matches!(socks, Socks::Refuses);
    // "Connection not allowed by ruleset".
    let reply = if is_open { 0 } else { 2 };
    stream
        .write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0])
        .unwrap();
    is_open
}
