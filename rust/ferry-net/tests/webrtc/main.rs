//! WebRTC from one game's thread to the other, over real sockets.

mod bad_line;
mod connecting;
mod corners;
mod cuts;
mod far;
mod line;
mod messages;
mod pair;
