//! Which errors of a socket are about one datagram, and which are about the socket.
//!
//! Systems tell of datagrams that nobody wanted, of routes that are missing for the moment and of full queues through
//! errors of whatever call comes next. A server that gave up on one of them could be shut down by any client that leaves.
//! So only those count as fatal that say that there is no socket any more: a phone takes them away from games that sleep.

use std::io::{Error, ErrorKind};

#[cfg(unix)]
mod code {
    pub(super) const NO_DESCRIPTOR: i32 = 9;
    pub(super) const NOT_A_SOCKET: i32 =
        if cfg!(any(target_os = "linux", target_os = "android")) { 88 } else { 38 };
}

#[cfg(not(unix))]
mod code {
    pub(super) const NO_DESCRIPTOR: i32 = 10009;
    pub(super) const NOT_A_SOCKET: i32 = 10038;
}

/// Whether the socket is gone.
pub(super) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotConnected | ErrorKind::BrokenPipe)
        || matches!(error.raw_os_error(), Some(code::NO_DESCRIPTOR | code::NOT_A_SOCKET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_a_datagram_is_not_fatal() {
        use ErrorKind::{
            AddrNotAvailable, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, InvalidInput,
            NetworkDown, NetworkUnreachable, OutOfMemory, PermissionDenied,
        };
        for kind in [
            AddrNotAvailable,
            ConnectionRefused,
            ConnectionReset,
            HostUnreachable,
            Interrupted,
            InvalidInput,
            NetworkDown,
            NetworkUnreachable,
            OutOfMemory,
            PermissionDenied,
        ] {
            assert!(!is_fatal(&Error::from(kind)), "{kind}");
        }
    }

    #[test]
    fn a_descriptor_that_is_gone_is_fatal() {
        assert!(is_fatal(&Error::from_raw_os_error(code::NO_DESCRIPTOR)));
        assert!(is_fatal(&Error::from_raw_os_error(code::NOT_A_SOCKET)));
    }
}
