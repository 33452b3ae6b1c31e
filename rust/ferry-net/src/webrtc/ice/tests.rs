//! Two agents over a pretend network, in virtual time: loss, delay, routers, a STUN server, and a signalling that is late.

mod coturn;
mod hostile;
mod paths;
mod restart;
mod servers;
mod world;
