//! Writes big-endian numbers into a datagram. Callers ask [`Writer::room`] first: a write never overruns, and one
//! that does not fit is a bug on our side.

pub(crate) struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        let Some(target) = self.buffer.get_mut(self.len..end) else {
            debug_assert!(false, "{} bytes do not fit into the {} left", bytes.len(), self.room());
            return;
        };
        target.copy_from_slice(bytes);
        self.len = end;
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }
}
