//! The opcodes of pickles up to protocol 5, one by one.

/// One opcode, with its text if it has one.
pub struct Token<'a> {
    pub code: u8,
    pub text: Option<&'a [u8]>,
    /// The module of a name.
    pub module: Option<&'a [u8]>,
    /// The index of a memo that it writes or reads.
    pub memo: Option<usize>,
    /// An integer that it pushes.
    pub number: Option<i64>,
}

/// Reads opcodes until one is unknown or the bytes end. Nothing in them is executed.
pub struct Tokens<'a>(pub &'a [u8]);

impl<'a> Tokens<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.take(bytes)?;
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(taken);
        usize::try_from(u64::from_le_bytes(wide)).ok()
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == b'\n')?;
        let line = self.take(end)?;
        self.take(1)?;
        Some(line)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let code = self.take(1)?[0];
        let (mut text, mut module, mut memo, mut number) = (None, None, None, None);
        match code {
            b'('
            | b'0'
            | b'1'
            | b'2'
            | b'N'
            | b'Q'
            | b'R'
            | b'a'
            | b'b'
            | b'd'
            | b'}'
            | b'e'
            | b'l'
            | b']'
            | b'o'
            | b's'
            | b't'
            | b')'
            | b'u'
            | b'.'
            | 0x81
            | 0x85..=0x89
            | 0x8f..=0x94
            | 0x97
            | 0x98 => {}
            b'q' | b'h' => memo = Some(self.length(1)?),
            b'r' | b'j' => memo = Some(self.length(4)?),
            b'K' => number = Some(self.length(1)? as i64),
            0x80 | 0x82 => drop(self.take(1)?),
            b'M' => number = Some(self.length(2)? as i64),
            b'J' => number = Some(i64::from(self.length(4)? as u32 as i32)),
            0x83 => drop(self.take(2)?),
            0x84 => drop(self.take(4)?),
            b'G' | 0x95 => drop(self.take(8)?),
            0x8a => {
                let length = self.length(1)?;
                number = signed(self.take(length)?);
            }
            b'U' | b'C' | 0x8c => {
                let length = self.length(1)?;
                text = Some(self.take(length)?);
            }
            b'X' | b'T' | b'B' | 0x8b => {
                let length = self.length(4)?;
                text = Some(self.take(length)?);
            }
            0x8d | 0x8e | 0x96 => {
                let length = self.length(8)?;
                text = Some(self.take(length)?);
            }
            b'F' | b'I' | b'L' | b'S' | b'V' | b'P' | b'g' | b'p' => drop(self.line()?),
            b'c' | b'i' => {
                module = Some(self.line()?);
                text = Some(self.line()?);
            }
            _ => return None,
        }
        Some(Token { code, text, module, memo, number })
    }
}

/// A little-endian number of up to eight bytes in two's complement; `None` if it is longer.
fn signed(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}
