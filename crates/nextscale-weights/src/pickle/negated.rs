//! Values that torch stores with their sign flipped, which the reader of `.pth` files ignores.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::tokens::Tokens;

/// The longest pickle that is searched, equal to the reader's limit.
const LONGEST: u64 = 100 << 20;

/// Opcodes of pickles up to protocol 5 that matter here.
const MARK: u8 = b'(';
const GLOBAL: u8 = b'c';
const REDUCE: u8 = b'R';
const TUPLE: u8 = b't';
const SET_ITEM: u8 = b's';
const SET_ITEMS: u8 = b'u';
const STOP: u8 = b'.';
const NEW_TRUE: u8 = 0x88;

/// The key of the first tensor that is stored with its negative bit set, such as `x.imag` of a conjugate:
/// torch stores the values before the change of sign, and a mark. `None` if there is none, or the file cannot
/// be searched.
///
/// In a pickle such a tensor is `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks,
/// {"neg": True})`.
pub(crate) fn negated(path: &Path) -> Option<String> {
    let head = |file: &mut File| {
        let mut head = [0; 4];
        file.read_exact(&mut head).ok().map(|()| head)
    };
    let mut file = File::open(path).ok()?;
    let pickle = if head(&mut file)? == *b"PK\x03\x04" {
        let mut archive = zip::ZipArchive::new(BufReader::new(File::open(path).ok()?)).ok()?;
        let name =
            archive.file_names().filter(|name| name.ends_with("data.pkl")).min_by_key(|name| name.len());
        let name = name?.to_owned();
        let mut bytes = Vec::new();
        archive.by_name(&name).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        bytes
    } else {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        bytes
    };
    find(&pickle)
}

/// The key before the first call whose last argument is `{.., "neg": True}`.
fn find(pickle: &[u8]) -> Option<String> {
    let (mut rebuilders, mut negs) = (HashSet::new(), HashSet::new());
    let (mut last_text, mut key) = ("", String::new());
    // How much of: the text "neg", True, an item set, the arguments' tuple.
    let mut matched = 0;
    let (mut is_rebuilder, mut is_neg) = (false, false);
    for token in Tokens(pickle) {
        let text = token.text.and_then(|text| std::str::from_utf8(text).ok());
        match token.code {
            b'q' | b'r' => {
                // A memo of what came immediately before.
                negs.extend(token.memo.filter(|_| is_neg));
                rebuilders.extend(token.memo.filter(|_| is_rebuilder));
                continue;
            }
            0x94 => continue,
            _ => {}
        }
        is_rebuilder = token.code == GLOBAL && text.is_some_and(|name| name.starts_with("_rebuild_tensor"))
            || token.memo.is_some_and(|memo| rebuilders.contains(&memo));
        is_neg = token.code != GLOBAL && text == Some("neg")
            || token.memo.is_some_and(|memo| negs.contains(&memo));
        if is_rebuilder {
            last_text.clone_into(&mut key);
        }
        matched = match (matched, token.code) {
            _ if is_neg => 1,
            (1, NEW_TRUE) => 2,
            (2, SET_ITEM | SET_ITEMS) => 3,
            (3, TUPLE) => 4,
            (4, REDUCE) => return Some(key),
            // Conjugate and negative: ("conj", True, "neg", True) in either order.
            (2, _) if text == Some("conj") => 5,
            (5, NEW_TRUE) => 2,
            _ => 0,
        };
        if let Some(text) = text.filter(|_| ![GLOBAL, MARK, STOP].contains(&token.code)) {
            last_text = text;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    fn pickle(metadata: &[u8]) -> Vec<u8> {
        let global = b"ctorch._utils\n_rebuild_tensor_v2\nq\x02".to_vec();
        [
            b"\x80\x02}q\x00(".to_vec(),
            text("a"),
            global,
            b"(NtR".to_vec(),
            text("w"),
            b"h\x02(N".to_vec(),
            metadata.to_vec(),
            b"tq\x07Ru.".to_vec(),
        ]
        .concat()
    }

    #[test]
    fn only_a_tensor_with_the_bit_is_found_by_its_key() {
        let neg = |end: &[u8]| [b"}q\x03".to_vec(), text("neg"), end.to_vec()].concat();
        assert_eq!(find(&pickle(&neg(b"q\x04\x88s"))).as_deref(), Some("w"));
        assert_eq!(find(&pickle(&neg(b"\x94\x88u"))).as_deref(), Some("w"));
        assert_eq!(find(&pickle(&neg(b"q\x04\x89s"))), None);
        assert_eq!(find(&pickle(b"")), None);
        // A setting of that name has nothing to do with a sign.
        let setting =
            [b"\x80\x02}(".to_vec(), text("neg"), b"\x88".to_vec(), text("x"), b"K\x01u.".to_vec()].concat();
        assert_eq!(find(&setting), None);
        let memoised = [pickle(b"").split_last().unwrap().1, &neg(b"q\x09\x890")[3..], &text("v")].concat();
        let memoised = [&memoised[..], b"h\x02(N}h\x09\x88stR."].concat();
        assert_eq!(find(&memoised).as_deref(), Some("v"));
    }

    #[test]
    fn no_bytes_are_too_damaged() {
        let whole = pickle(&[b"}".to_vec(), text("neg"), b"\x88s".to_vec()].concat());
        for at in 0..whole.len() {
            find(&whole[..at]);
            for byte in [0, 0x8a, 0x8e, 0xff, b'X', b'c'] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                find(&damaged);
            }
        }
    }
}
