//! Inputs with a head of two bytes: a size, and how the rest is cut.

/// What such an input says.
pub(crate) struct Cut<'a> {
    pub(crate) size: usize,
    /// The rest, whole.
    pub(crate) input: &'a [u8],
    /// The rest, in the pieces in which it comes.
    pub(crate) pieces: Vec<&'a [u8]>,
}

impl<'a> Cut<'a> {
    /// `None` for an input without a head.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let [size, cuts, input @ ..] = data else { return None };
        Some(Self { size: usize::from(*size), input, pieces: cut(input, *cuts) })
    }
}

/// `input` in pieces: whole for 0, byte by byte for 1, else of lengths that vary with `cuts`.
fn cut(input: &[u8], cuts: u8) -> Vec<&[u8]> {
    if cuts == 0 {
        return vec![input];
    }
    let mut state = u32::from(cuts);
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let length = if cuts == 1 { 1 } else { 1 + (state >> 16) as usize % 24 };
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
