//! Sequence numbers without their wrapping: what travels as 32 bits is kept as 64 here.
//!
//! A number on the wire is read as the one nearest to a number that is known. Numbers begin above 2^32, so that even what
//! lies far behind stays positive.

/// Added to a first number of 32 bits.
const ABOVE_ZERO: u64 = 1 << 32;

/// The whole number of an association's first one.
pub(crate) fn first(wire: u32) -> u64 {
    ABOVE_ZERO + u64::from(wire)
}

/// The number nearest to `near` that travels as `wire`.
pub(crate) fn unwrap(near: u64, wire: u32) -> u64 {
    let distance = wire.wrapping_sub(near as u32) as i32;
    near.saturating_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_the_nearest_one() {
        let near = first(u32::MAX - 1);
        assert_eq!(unwrap(near, u32::MAX), near + 1);
        assert_eq!(unwrap(near, 3), near + 5);
        assert_eq!(unwrap(near + 5, u32::MAX), near + 1);
        assert_eq!(unwrap(first(0), u32::MAX), first(0) - 1);
    }
}
