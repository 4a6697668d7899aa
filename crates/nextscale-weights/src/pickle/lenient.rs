//! The tensors of a `.pth` file that also holds objects with items: `defaultdict`, `deque`, subclasses of
//! dict and list. They are read as plain dictionaries and lists. Nothing in the pickle is executed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use zip::{CompressionMethod, ZipArchive};

use super::tokens::{Token, Tokens};
use crate::{StoredType, TensorInfo};

/// The longest pickle that is read.
const LONGEST: u64 = 100 << 20;
/// The largest tensor in bytes; a view can be larger than its storage.
const LARGEST: u64 = 10 << 30;

/// Where a tensor's elements are in a zip archive.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    path: PathBuf,
    /// Of the storage's first byte.
    start: u64,
    info: TensorInfo,
    /// In elements.
    offset: u64,
    strides: Vec<u64>,
}

impl Stored {
    /// What is known without reading the elements.
    pub fn info(&self) -> &TensorInfo {
        &self.info
    }

    /// The elements' bytes, row-major.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let size = self.info.dtype.size() as u64;
        let mut file = BufReader::new(File::open(&self.path)?);
        let count: usize = self.info.shape.iter().product();
        let mut bytes = vec![0; count * size as usize];
        if count == 0 {
            return Ok(bytes);
        }
        let mut row_major = 1;
        let contiguous = self.info.shape.iter().zip(&self.strides).rev().all(|(&side, &stride)| {
            let same = side == 1 || stride == row_major;
            row_major *= side as u64;
            same
        });
        let at = |element: u64| self.start + (self.offset + element) * size;
        if contiguous {
            file.seek(SeekFrom::Start(at(0)))?;
            file.read_exact(&mut bytes)?;
            return Ok(bytes);
        }
        let mut place = vec![0_u64; self.info.shape.len()];
        for element in bytes.chunks_exact_mut(size as usize) {
            let from: u64 = place.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum();
            file.seek(SeekFrom::Start(at(from)))?;
            file.read_exact(element)?;
            for (index, &side) in place.iter_mut().zip(&self.info.shape).rev() {
                *index += 1;
                if *index < side as u64 {
                    break;
                }
                *index = 0;
            }
        }
        Ok(bytes)
    }
}

/// A value on the pickle's stack. Containers are indices, because they are filled after others refer to them.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Number(i64),
    Name(String),
    Tuple(Vec<Value>),
    Container(usize),
    Storage {
        dtype: StoredType,
        key: String,
        count: u64,
    },
    Tensor(Box<View>),
    /// Anything that no tensor depends on.
    Other,
}

#[derive(Debug, Clone)]
struct View {
    dtype: StoredType,
    key: String,
    count: u64,
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
}

/// A dictionary, a list, or an object with items of either kind.
#[derive(Debug, Default)]
struct Container {
    pairs: Vec<(Value, Value)>,
    items: Vec<Value>,
}

#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
    containers: Vec<Container>,
}

/// The tensors of a zip archive by their dotted paths. `None` if it is not one, or holds what cannot be read
/// here either.
pub(crate) fn tensors(path: &Path) -> Option<Vec<(String, Stored)>> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path).ok()?)).ok()?;
    let pickle =
        archive.file_names().filter(|name| name.ends_with("data.pkl")).min_by_key(|name| name.len())?;
    let root = pickle.strip_suffix("data.pkl")?.to_owned();
    let read = |archive: &mut ZipArchive<_>, name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(&format!("{root}{name}")).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    if read(&mut archive, "byteorder").is_some_and(|order| order.trim_ascii() != b"little") {
        return None;
    }
    let pickle = read(&mut archive, "data.pkl")?;
    let mut machine = Machine::default();
    let root_value = machine.run(&pickle)?;
    let mut views = Vec::new();
    machine.walk(&root_value, &mut Vec::new(), &mut views, 0)?;
    let place = |(name, view): (String, View)| {
        let entry = archive.by_name(&format!("{root}data/{}", view.key)).ok()?;
        let size = view.dtype.size() as u64;
        let whole = entry.compression() == CompressionMethod::Stored
            && entry.size() == view.count.checked_mul(size)?;
        let count = view.shape.iter().try_fold(1_u64, |count, &side| count.checked_mul(side))?;
        let last = view.shape.iter().zip(&view.strides).try_fold(view.offset, |last, (&side, &stride)| {
            last.checked_add(side.saturating_sub(1).checked_mul(stride)?)
        })?;
        let inside = view.shape.len() == view.strides.len() && (count == 0 || last < view.count);
        let shape = view.shape.iter().map(|&side| side as usize).collect();
        (whole && inside && count.checked_mul(size)? <= LARGEST).then(|| {
            let info = TensorInfo { shape, dtype: view.dtype };
            let stored = Stored {
                path: path.into(),
                start: entry.data_start(),
                info,
                offset: view.offset,
                strides: view.strides,
            };
            (name, stored)
        })
    };
    views.into_iter().map(place).collect()
}

impl Machine {
    fn run(&mut self, pickle: &[u8]) -> Option<Value> {
        for token in Tokens(pickle) {
            if token.code == b'.' {
                return self.stack.pop();
            }
            self.step(&token)?;
        }
        None
    }

    fn container(&mut self, pairs: Vec<(Value, Value)>, items: Vec<Value>) {
        self.containers.push(Container { pairs, items });
        self.stack.push(Value::Container(self.containers.len() - 1));
    }

    /// What is on the stack above the last mark.
    fn marked(&mut self) -> Option<Vec<Value>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn fill(&mut self, pairs: Vec<Value>, items: Vec<Value>) -> Option<()> {
        // Items of something other than a container belong to no tensor.
        if let Value::Container(at) = self.stack.last()? {
            let container = self.containers.get_mut(*at)?;
            container.items.extend(items);
            let mut pairs = pairs.into_iter();
            while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
                container.pairs.push((key, value));
            }
        }
        Some(())
    }

    fn step(&mut self, token: &Token<'_>) -> Option<()> {
        let text = || String::from_utf8_lossy(token.text.unwrap_or_default()).into_owned();
        match token.code {
            0x80 | 0x95 => {}
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.stack.pop()?),
            b'1' => drop(self.marked()?),
            b'2' => self.stack.push(self.stack.last()?.clone()),
            b'X' | 0x8c | 0x8d | b'U' | b'T' => self.stack.push(Value::Text(text())),
            b'K' | b'M' | b'J' | 0x8a => self.stack.push(token.number.map_or(Value::Other, Value::Number)),
            b'c' => {
                let module = String::from_utf8_lossy(token.module.unwrap_or_default()).into_owned();
                self.stack.push(Value::Name(format!("{module}.{}", text())));
            }
            0x93 => {
                let (name, module) = (self.stack.pop()?, self.stack.pop()?);
                self.stack.push(match (module, name) {
                    (Value::Text(module), Value::Text(name)) => Value::Name(format!("{module}.{name}")),
                    _ => Value::Other,
                });
            }
            b'q' | b'r' => drop(self.memo.insert(token.memo?, self.stack.last()?.clone())),
            0x94 => drop(self.memo.insert(self.memo.len(), self.stack.last()?.clone())),
            b'h' | b'j' => self.stack.push(self.memo.get(&token.memo?)?.clone()),
            b'}' | b']' | 0x8f => self.container(Vec::new(), Vec::new()),
            b')' => self.stack.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.marked()?;
                self.stack.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let count = usize::from(token.code - 0x84);
                let items = self.stack.split_off(self.stack.len().checked_sub(count)?);
                self.stack.push(Value::Tuple(items));
            }
            b's' => {
                let pair = self.stack.split_off(self.stack.len().checked_sub(2)?);
                self.fill(pair, Vec::new())?;
            }
            b'u' => {
                let pairs = self.marked()?;
                self.fill(pairs, Vec::new())?;
            }
            b'a' => {
                let item = self.stack.pop()?;
                self.fill(Vec::new(), vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.marked()?;
                self.fill(Vec::new(), items)?;
            }
            b'Q' => {
                let id = self.stack.pop()?;
                self.stack.push(storage(id)?);
            }
            b'R' | 0x81 => {
                let (arguments, function) = (self.stack.pop()?, self.stack.pop()?);
                match call(function, arguments)? {
                    Some(tensor) => self.stack.push(tensor),
                    // Whatever it is, its later items are kept like those of a dictionary or a list.
                    None => self.container(Vec::new(), Vec::new()),
                }
            }
            0x92 => {
                self.stack.truncate(self.stack.len().checked_sub(3)?);
                self.container(Vec::new(), Vec::new());
            }
            // An object's state.
            b'b' => drop(self.stack.pop()?),
            b'N' | 0x88 | 0x89 | b'G' | b'B' | b'C' | 0x8e | 0x96 | 0x8b | b'I' | b'F' | b'L' => {
                self.stack.push(Value::Other);
            }
            0x91 => {
                self.marked()?;
                self.stack.push(Value::Other);
            }
            _ => return None,
        }
        Some(())
    }

    /// Every tensor below a value, by its path.
    fn walk(
        &self,
        value: &Value,
        path: &mut Vec<String>,
        found: &mut Vec<(String, View)>,
        depth: u32,
    ) -> Option<()> {
        // A dictionary may contain itself.
        if depth > 64 {
            return None;
        }
        let mut below = |key: String, value: &Value| {
            path.push(key);
            let walked = self.walk(value, path, found, depth + 1);
            path.pop();
            walked
        };
        match value {
            Value::Tensor(view) => {
                found.push((path.join("."), (**view).clone()));
                Some(())
            }
            Value::Container(at) => {
                let Container { pairs, items } = self.containers.get(*at)?;
                for (key, value) in pairs {
                    match key {
                        Value::Text(key) => below(key.clone(), value)?,
                        Value::Number(key) => below(key.to_string(), value)?,
                        _ => {}
                    }
                }
                items.iter().enumerate().try_for_each(|(at, item)| below(at.to_string(), item))
            }
            Value::Tuple(items) => {
                items.iter().enumerate().try_for_each(|(at, item)| below(at.to_string(), item))
            }
            _ => Some(()),
        }
    }
}

/// `('storage', torch.FloatStorage, key, location, elements)`.
fn storage(id: Value) -> Option<Value> {
    let Value::Tuple(id) = id else { return None };
    let [Value::Text(what), Value::Name(kind), Value::Text(key), _, Value::Number(count)] = id.as_slice()
    else {
        return None;
    };
    let dtype = match kind.strip_prefix("torch.")? {
        "DoubleStorage" => StoredType::F64,
        "FloatStorage" => StoredType::F32,
        "HalfStorage" => StoredType::F16,
        "BFloat16Storage" => StoredType::BF16,
        "LongStorage" => StoredType::I64,
        "IntStorage" => StoredType::I32,
        "ShortStorage" => StoredType::I16,
        "CharStorage" => StoredType::I8,
        "ByteStorage" => StoredType::U8,
        "BoolStorage" => StoredType::Bool,
        _ => return None,
    };
    let count = u64::try_from(*count).ok()?;
    (what == "storage").then(|| Value::Storage { dtype, key: key.clone(), count })
}

/// The result of a call: a tensor, or `Some(None)` for anything that no tensor depends on. `None` if it is a
/// tensor that cannot be read.
fn call(function: Value, arguments: Value) -> Option<Option<Value>> {
    let (Value::Name(name), Value::Tuple(arguments)) = (function, arguments) else { return Some(None) };
    let sides = |value: &Value| -> Option<Vec<u64>> {
        let Value::Tuple(sides) = value else { return None };
        let side =
            |side: &Value| if let Value::Number(side) = side { u64::try_from(*side).ok() } else { None };
        sides.iter().map(side).collect()
    };
    match (name.strip_prefix("torch._utils."), arguments.as_slice()) {
        (
            Some("_rebuild_tensor" | "_rebuild_tensor_v2"),
            [Value::Storage { dtype, key, count }, Value::Number(offset), shape, strides, ..],
        ) => Some(Some(Value::Tensor(Box::new(View {
            dtype: *dtype,
            key: key.clone(),
            count: *count,
            offset: u64::try_from(*offset).ok()?,
            shape: sides(shape)?,
            strides: sides(strides)?,
        })))),
        (Some("_rebuild_parameter" | "_rebuild_parameter_with_state"), [data, ..]) => {
            Some(Some(data.clone()))
        }
        // Quantised, sparse and the like.
        (Some(other), _) if other.starts_with("_rebuild") => None,
        _ => Some(None),
    }
}
