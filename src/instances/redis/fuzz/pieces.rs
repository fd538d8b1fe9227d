//! Inputs out of words that a parser knows, and of anything between them.

use bolero::TypeGenerator;

/// A part of an input: a word that the parser may know, or anything.
#[derive(Clone, Debug, TypeGenerator)]
pub(super) enum Piece {
    Word(u8),
    Number(i64),
    Small(u8),
    Bytes(Vec<u8>),
}

pub(super) fn join(pieces: &[Piece], words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Word(index) => {
                bytes.extend(words[usize::from(*index) % words.len()].as_bytes());
            }
            Piece::Number(number) => bytes.extend(number.to_string().as_bytes()),
            Piece::Small(number) => bytes.extend(number.to_string().as_bytes()),
            Piece::Bytes(anything) => bytes.extend(anything),
        }
    }
    bytes
}
