//! The other implementation, behind what these tests need of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ferry_sctp::Reliability;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

pub(crate) struct Theirs {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    remote: SocketAddr,
    pub(crate) connected: bool,
    pub(crate) lost: bool,
    pub(crate) received: Vec<(u16, Vec<u8>)>,
}

impl Theirs {
    pub(crate) fn new(begins: bool) -> Self {
        let transport = Arc::new(
            TransportConfig::default()
                .with_rto_initial_ms(1000)
                .with_rto_max_ms(4000)
                .with_max_send_message_size(256 * 1024)
                .with_max_receive_message_size(256 * 1024),
        );
        let mut server = ServerConfig::new();
        server.transport = transport.clone();
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), Some(Arc::new(server)));
        let remote: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let association = begins.then(|| {
            let mut config = ClientConfig::new();
            config.transport = transport;
            endpoint.connect(config, remote).unwrap()
        });
        Self { endpoint, association, remote, connected: false, lost: false, received: Vec::new() }
    }

    fn association(&mut self) -> &mut Association {
        &mut self.association.as_mut().unwrap().1
    }

    pub(crate) fn open(&mut self, stream: u16, reliability: Reliability) {
        let (kind, value) = match (reliability.lifetime, reliability.retransmits) {
            (Some(lifetime), _) => (ReliabilityType::Timed, lifetime.as_millis() as u32),
            (None, Some(limit)) => (ReliabilityType::Rexmit, u32::from(limit)),
            (None, None) => (ReliabilityType::Reliable, 0),
        };
        let association = self.association();
        if association.stream(stream).is_err() {
            association.open_stream(stream, PayloadProtocolIdentifier::Binary).unwrap();
        }
        let mut stream = association.stream(stream).unwrap();
        stream.set_reliability_params(!reliability.ordered, kind, value).unwrap();
    }

    pub(crate) fn send(&mut self, stream: u16, payload: &[u8]) {
        let mut stream = self.association().stream(stream).unwrap();
        assert_eq!(stream.write_with_ppi(payload, PayloadProtocolIdentifier::Binary).unwrap(), payload.len());
    }

    pub(crate) fn close(&mut self, stream: u16) {
        self.association().stream(stream).unwrap().close().unwrap();
    }

    pub(crate) fn handle_input(&mut self, now: Instant, packet: Bytes) {
        match self.endpoint.handle(now, self.remote, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => self.association().handle_event(event),
            None => {}
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        self.association.as_mut().and_then(|(_, association)| association.poll_timeout())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.association().handle_timeout(now);
        }
    }

    /// Reads what came, and takes out what is to leave.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Bytes> {
        let mut out = Vec::new();
        loop {
            if let Some((handle, association)) = &mut self.association {
                while let Some(event) = association.poll_endpoint_event() {
                    if let Some(event) = self.endpoint.handle_event(*handle, event) {
                        association.handle_event(event);
                    }
                }
                self.events();
            }
            let transmit =
                self.association.as_mut().and_then(|(_, association)| association.poll_transmit(now));
            let Some(transmit) = transmit.or_else(|| self.endpoint.poll_transmit()) else { return out };
            let Payload::RawEncode(packets) = transmit.payload else { panic!("not a packet") };
            out.extend(packets);
        }
    }

    fn events(&mut self) {
        let association = &mut self.association.as_mut().unwrap().1;
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::AssociationLost { .. } => self.lost = true,
                Event::Stream(StreamEvent::Finished { id }) => {
                    if let Ok(mut stream) = association.stream(id) {
                        let _ = stream.close();
                    }
                }
                _ => {}
            }
        }
        for id in association.stream_ids() {
            let Ok(mut stream) = association.stream(id) else { continue };
            while let Ok(Some(chunks)) = stream.read_sctp() {
                let mut payload = vec![0; chunks.len()];
                chunks.read(&mut payload).unwrap();
                self.received.push((id, payload));
            }
        }
    }
}
