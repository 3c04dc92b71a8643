//! What a client sends on one connection, segment by segment.

/// What is wrong with a segment, so that the service's TCP must not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Its TCP checksum.
    Checksum,
    /// It acknowledges what was never sent.
    Acknowledgement,
}

/// A segment with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where its first byte stands in the client's stream.
    pub at: usize,
    /// Its payload.
    pub bytes: Vec<u8>,
    /// Whether the client's side ends with it.
    pub fin: bool,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// The segments of a connection, in the order in which they go out, and how many answers the client waits for before
/// it closes: the service may close earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The segments.
    pub pieces: Vec<Piece>,
    /// Of each answer, whether it has no body though it tells its length, as those to HEAD.
    pub bodyless: Vec<bool>,
}

impl Script {
    /// One segment.
    #[must_use]
    pub fn whole(bytes: &[u8], bodyless: &[bool]) -> Self {
        Self::cut(bytes, &[], bodyless)
    }

    /// Segments that end at each of `cuts`, which ascend.
    #[must_use]
    pub fn cut(bytes: &[u8], cuts: &[usize], bodyless: &[bool]) -> Self {
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let mut at = 0;
        let pieces = ends
            .map(|end| {
                let piece = Piece { at, bytes: bytes[at..end].to_vec(), fin: false, flaw: Flaw::None };
                at = end;
                piece
            })
            .collect();
        Self { pieces, bodyless: bodyless.to_vec() }
    }

    /// Segments of so many bytes each.
    #[must_use]
    pub fn chopped(bytes: &[u8], size: usize, bodyless: &[bool]) -> Self {
        let cuts: Vec<_> = (size..bytes.len()).step_by(size).collect();
        Self::cut(bytes, &cuts, bodyless)
    }

    /// The same, each segment sent twice.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.pieces = self.pieces.into_iter().flat_map(|piece| [piece.clone(), piece]).collect();
        self
    }

    /// The same, the last segment first.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.pieces.reverse();
        self
    }

    /// The same, each segment beginning up to `count` bytes earlier, with what went before.
    #[must_use]
    pub fn overlapping(mut self, count: usize) -> Self {
        let stream = self.stream();
        for piece in &mut self.pieces {
            let at = piece.at.saturating_sub(count);
            piece.bytes = stream[at..piece.at + piece.bytes.len()].to_vec();
            piece.at = at;
        }
        self
    }

    /// The same, the client's side ending with its last byte.
    #[must_use]
    pub fn half_closed(mut self) -> Self {
        let end = self.length();
        for piece in &mut self.pieces {
            piece.fin = piece.at + piece.bytes.len() == end;
        }
        self
    }

    /// The same after a segment that the service's TCP must not take, at the same place.
    #[must_use]
    pub fn after_flawed(mut self, bytes: &[u8], flaw: Flaw) -> Self {
        self.pieces.insert(0, Piece { at: 0, bytes: bytes.to_vec(), fin: false, flaw });
        self
    }

    /// The bytes of all segments without flaw, in their places.
    fn stream(&self) -> Vec<u8> {
        let mut stream = vec![0; self.length()];
        for piece in self.good() {
            stream[piece.at..piece.at + piece.bytes.len()].copy_from_slice(&piece.bytes);
        }
        stream
    }

    fn good(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.flaw == Flaw::None)
    }

    /// Where the client's stream ends.
    #[must_use]
    pub fn length(&self) -> usize {
        self.good().map(|piece| piece.at + piece.bytes.len()).max().unwrap_or_default()
    }
}
