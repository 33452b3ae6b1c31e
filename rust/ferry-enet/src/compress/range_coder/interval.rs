//! The range coder: a number written to as many digits as it takes to tell the chosen shares apart.
//!
//! Both sides hold an interval, `range` wide from `low`, of the 32-bit numbers. To code something that owns
//! `weight` units of `total`, from unit `below` on, the interval is cut into `total` units and shrinks to those.
//! The decoder holds the next four bytes of the data as `code`, which lies somewhere in the interval: the unit
//! that it falls into tells what was coded.
//!
//! As soon as the whole interval has the same top byte, that byte is settled: it goes out, and everything shifts
//! up. An interval that shrinks to less than 2^16 across a boundary of the top byte would never settle and lose
//! its precision; it gives up all that lies past the next multiple of 2^16, so no carry ever has to run back
//! into bytes that went out. What remains at the end goes out as `low` itself, without its trailing zero bytes.

/// The interval's ends differ in the top byte if they differ by this much bitwise.
const TOP_BYTE: u32 = 1 << 24;
/// Narrower than this, an interval is too coarse for 16-bit weights.
const NARROWEST: u32 = 1 << 16;

struct Interval {
    low: u32,
    /// Between [`cut`](Self::cut) and [`keep`](Self::keep), the width of one unit.
    range: u32,
}

impl Interval {
    const WHOLE: Self = Self { low: 0, range: u32::MAX };

    #[inline]
    fn cut(&mut self, total: u16) -> Option<()> {
        self.range = self.range.checked_div(u32::from(total))?;
        Some(())
    }

    #[inline]
    fn keep(&mut self, below: u32, weight: u16) {
        self.low = self.low.wrapping_add(below.wrapping_mul(self.range));
        self.range = self.range.wrapping_mul(u32::from(weight));
    }

    /// Call it until it returns `None`; before that, the interval is too narrow to be cut.
    #[inline]
    fn shift_out_settled(&mut self) -> Option<u8> {
        let last = self.low.wrapping_add(self.range);
        if self.low ^ last >= TOP_BYTE {
            if self.range >= NARROWEST {
                return None;
            }
            self.range = self.low.wrapping_neg() & (NARROWEST - 1);
        }
        let settled = (self.low >> 24) as u8;
        self.low <<= 8;
        self.range <<= 8;
        Some(settled)
    }
}

/// Writes shares into a buffer.
pub(super) struct Encoder<'a> {
    interval: Interval,
    output: &'a mut [u8],
    written: usize,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(output: &'a mut [u8]) -> Self {
        Self { interval: Interval::WHOLE, output, written: 0 }
    }

    /// Codes the `weight` units of `total` that start at `below`. `None` means that the buffer is full.
    #[inline]
    pub(super) fn narrow(&mut self, below: u32, weight: u16, total: u16) -> Option<()> {
        self.interval.cut(total)?;
        self.interval.keep(below, weight);
        while let Some(settled) = self.interval.shift_out_settled() {
            self.push(settled)?;
        }
        Some(())
    }

    /// Returns the length of what was written, or `None` if the buffer is full.
    pub(super) fn finish(mut self) -> Option<usize> {
        let mut rest = self.interval.low;
        while rest != 0 {
            self.push((rest >> 24) as u8)?;
            rest <<= 8;
        }
        Some(self.written)
    }

    #[inline]
    fn push(&mut self, byte: u8) -> Option<()> {
        *self.output.get_mut(self.written)? = byte;
        self.written += 1;
        Some(())
    }
}

/// Reads shares from a buffer, which goes on with zeros after its end.
pub(super) struct Decoder<'a> {
    interval: Interval,
    code: u32,
    input: std::slice::Iter<'a, u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        let mut decoder = Self { interval: Interval::WHOLE, code: 0, input: input.iter() };
        for _ in 0..4 {
            decoder.shift_in();
        }
        decoder
    }

    /// Cuts the interval into `total` units and returns the one that the data points at.
    ///
    /// Garbage may point past the end, and past 16 bits: C drops the bits above those, and so does this.
    /// [`narrow`](Self::narrow) must follow.
    #[inline]
    pub(super) fn point(&mut self, total: u16) -> Option<u16> {
        self.interval.cut(total)?;
        let offset = self.code.wrapping_sub(self.interval.low);
        Some(offset.checked_div(self.interval.range)? as u16)
    }

    /// Shrinks the interval to the `weight` units that start at `below`.
    #[inline]
    pub(super) fn narrow(&mut self, below: u32, weight: u16) -> Option<()> {
        self.interval.keep(below, weight);
        while self.interval.shift_out_settled().is_some() {
            // An interval without width would shift for ever. No input is known to lead to one.
            if self.interval.range == 0 {
                return None;
            }
            self.shift_in();
        }
        Some(())
    }

    #[inline]
    fn shift_in(&mut self) {
        self.code = self.code << 8 | u32::from(self.input.next().copied().unwrap_or(0));
    }
}
