//! Made-up documents: good ones with a few edits, which reach further into a reader than random bytes, and texts put
//! together from words that mean something to it.

use std::sync::Arc;

use proptest::prelude::*;

/// Documents grow by repetition up to this many bytes.
const LONGEST: usize = 100_000;
/// Most edits of one document.
const EDITS: usize = 8;

/// One of the good documents, edited: parts left out, doubled, repeated a thousand times, moved, swapped with parts of
/// another document, bytes replaced, words of the format put in. One in a dozen stays as it is.
pub fn mutated_bytes<D, W>(
    documents: impl IntoIterator<Item = D>,
    words: impl IntoIterator<Item = W>,
) -> impl Strategy<Value = Vec<u8>>
where
    D: Into<Vec<u8>>,
    W: Into<Vec<u8>>,
{
    let documents: Arc<[Vec<u8>]> = documents.into_iter().map(Into::into).collect();
    let words: Arc<[Vec<u8>]> = words.into_iter().map(Into::into).collect();
    let edits = prop::collection::vec(edit(), 0..=EDITS);
    (any::<prop::sample::Index>(), edits).prop_map(move |(which, edits)| {
        let start = which.get(&documents).clone();
        edits.into_iter().fold(start, |text, edit| edit.apply(text, &documents, &words))
    })
}

/// [`mutated_bytes`] as text; what is no UTF-8 is replaced.
pub fn mutated<D, W>(
    documents: impl IntoIterator<Item = D>,
    words: impl IntoIterator<Item = W>,
) -> impl Strategy<Value = String>
where
    D: Into<Vec<u8>>,
    W: Into<Vec<u8>>,
{
    mutated_bytes(documents, words).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Up to `most` of the words in a row, with any text between some of them.
pub fn pieces(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z0-9]{1,6}",
        1 => "\\PC{0,8}",
    ];
    prop::collection::vec(piece, 0..=most).prop_map(|pieces| pieces.concat())
}

/// What is done to a document, where. Places are indices that fit any document.
#[derive(Debug, Clone)]
enum Edit {
    Leave,
    Cut { at: Place, length: u8 },
    Repeat { at: Place, length: u8, times: u16 },
    Move { at: Place, length: u8, to: Place },
    Borrow { from: Place, length: u8, to: Place },
    Word { which: Place, at: Place },
    Byte { at: Place, byte: u8 },
}

type Place = prop::sample::Index;

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Place>;
    prop_oneof![
        2 => Just(Edit::Leave),
        3 => (place(), any::<u8>()).prop_map(|(at, length)| Edit::Cut { at, length }),
        2 => (place(), 0..64u8, prop_oneof![9 => 1..8u16, 1 => 8..4_000u16])
            .prop_map(|(at, length, times)| Edit::Repeat { at, length, times }),
        1 => (place(), any::<u8>(), place()).prop_map(|(at, length, to)| Edit::Move { at, length, to }),
        1 => (place(), any::<u8>(), place()).prop_map(|(from, length, to)| Edit::Borrow { from, length, to }),
        6 => (place(), place()).prop_map(|(which, at)| Edit::Word { which, at }),
        3 => (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte { at, byte }),
    ]
}

impl Edit {
    fn apply(self, mut text: Vec<u8>, documents: &[Vec<u8>], words: &[Vec<u8>]) -> Vec<u8> {
        let range = |text: &[u8], at: Place, length: u8| {
            let start = at.index(text.len() + 1);
            start..(start + usize::from(length)).min(text.len())
        };
        let insert = |text: &mut Vec<u8>, at: usize, part: Vec<u8>| drop(text.splice(at..at, part));
        match self {
            Self::Leave => {}
            Self::Cut { at, length } => drop(text.drain(range(&text, at, length))),
            Self::Repeat { at, length, times } => {
                let part = range(&text, at, length);
                let times = usize::from(times).min(LONGEST / part.len().max(1));
                let repeated = text[part.clone()].repeat(times);
                if text.len() + repeated.len() <= LONGEST {
                    insert(&mut text, part.end, repeated);
                }
            }
            Self::Move { at, length, to } => {
                let part: Vec<u8> = text.drain(range(&text, at, length)).collect();
                let to = to.index(text.len() + 1);
                insert(&mut text, to, part);
            }
            Self::Borrow { from, length, to } => {
                let other = from.get(documents);
                let part = other[range(other, from, length)].to_vec();
                let to = to.index(text.len() + 1);
                insert(&mut text, to, part);
            }
            Self::Word { which, at } if !words.is_empty() => {
                let at = at.index(text.len() + 1);
                insert(&mut text, at, which.get(words).clone());
            }
            Self::Word { .. } => {}
            Self::Byte { at, byte } => {
                if let Some(place) = (!text.is_empty()).then(|| at.index(text.len())) {
                    text[place] = byte;
                }
            }
        }
        text
    }
}
