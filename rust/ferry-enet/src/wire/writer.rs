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

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        let Some(target) = self.buffer.get_mut(self.len..end) else {
            debug_assert!(false, "{} bytes do not fit into the {} left", bytes.len(), self.room());
            return;
        };
        target.copy_from_slice(bytes);
        self.len = end;
    }

    /// Like [`Writer::bytes`]; a length that the compiler knows is a store, not a call.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        let Some(target) = self.buffer[self.len..].first_chunk_mut::<N>() else {
            debug_assert!(false, "{N} bytes do not fit into the {} left", self.room());
            return;
        };
        *target = bytes;
        self.len += N;
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) {
        self.array(value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn u16_pair(&mut self, first: u16, second: u16) {
        let [a, b] = first.to_be_bytes();
        let [c, d] = second.to_be_bytes();
        self.array([a, b, c, d]);
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) {
        self.array(value.to_be_bytes());
    }
}
