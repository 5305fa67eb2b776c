//! What load and server agree on: the bytes of the messages, and how a one-way stream is counted.
//!
//! A stream goes over a connection in plays: the warm-up is one, the measurement another. A play begins with its
//! length in bytes, eight bytes long; so many bytes follow, and when they are there as a whole the server answers
//! with the eight bytes of what it has counted. So nothing goes back while messages flow, and both sides know when
//! all of them have arrived.

use std::io::{self, ErrorKind};

/// A prime, so that neighbouring messages share nothing at the same place.
pub const PERIOD: usize = 65_521;

/// The byte at this position of the pattern, which begins anew after [`PERIOD`] bytes. A play is the pattern from its
/// beginning.
pub fn byte_at(position: u64) -> u8 {
    (((position % PERIOD as u64) * 2_654_435_761) >> 13) as u8
}

/// The pattern, long enough for a message that begins anywhere in the first period.
pub fn pattern(message: usize) -> Vec<u8> {
    (0..(PERIOD + message) as u64).map(byte_at).collect()
}

/// The server's side of a one-way stream, the same for all runtimes. It looks at the first and at the last byte of
/// each piece that was received, which finds pieces that are lost, doubled or in the wrong order, and costs next to
/// nothing.
#[derive(Debug, Default)]
pub struct Tally {
    header: [u8; 8],
    /// Bytes of the header that are there.
    begun: usize,
    received: u64,
}

impl Tally {
    /// Counts a piece. The answer, when the play is there as a whole.
    pub fn take(&mut self, mut piece: &[u8]) -> io::Result<Option<[u8; 8]>> {
        if self.begun < self.header.len() {
            let count = piece.len().min(self.header.len() - self.begun);
            self.header[self.begun..self.begun + count].copy_from_slice(&piece[..count]);
            self.begun += count;
            piece = &piece[count..];
            if self.begun < self.header.len() {
                return Ok(None);
            }
        }
        let end = self.received + piece.len() as u64;
        if let (Some(first), Some(last)) = (piece.first(), piece.last())
            && (*first != byte_at(self.received) || *last != byte_at(end - 1))
        {
            return Err(io::Error::new(ErrorKind::InvalidData, "a piece is not what was sent"));
        }
        self.received = end;
        let length = u64::from_le_bytes(self.header);
        if end > length {
            return Err(io::Error::new(ErrorKind::InvalidData, "more has come than was sent"));
        }
        if end < length {
            return Ok(None);
        }
        *self = Tally::default();
        Ok(Some(end.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(length: u64) -> Vec<u8> {
        length.to_le_bytes().into_iter().chain((0..length).map(byte_at)).collect()
    }

    #[test]
    fn a_play_is_answered_however_it_is_cut() {
        for size in [1, 3, 8, 9, 4_096, 200_000] {
            let mut tally = Tally::default();
            for length in [1, 64, 70_000] {
                let bytes = play(length);
                let answers: Vec<_> =
                    bytes.chunks(size).filter_map(|piece| tally.take(piece).expect("it is right")).collect();
                assert_eq!(answers, [length.to_le_bytes()], "{length} bytes in pieces of {size}");
            }
        }
    }

    #[test]
    fn pieces_that_are_lost_or_changed_are_told() {
        let bytes = play(10_000);
        let mut tally = Tally::default();
        tally.take(&bytes[..1_000]).unwrap();
        assert!(tally.take(&bytes[2_000..3_000]).is_err());
        let mut tally = Tally::default();
        assert!(tally.take(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_message_is_a_part_of_the_pattern() {
        let pattern = pattern(100);
        assert_eq!(pattern.len(), PERIOD + 100);
        assert_eq!(pattern[..100], pattern[PERIOD..]);
    }
}
