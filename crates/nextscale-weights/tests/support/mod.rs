//! Writes `.pth` files as `torch.save` does, from descriptions, for what the fixtures lack: nested
//! dictionaries, half floats, strides.
#![allow(dead_code)] // every test file uses its own part

/// A value in a checkpoint's dictionary.
pub enum Value {
    Dict(Vec<(&'static str, Value)>),
    Int(u8),
    Tensor {
        storage: &'static str,
        bytes: Vec<u8>,
        offset: u8,
        shape: Vec<u8>,
        strides: Vec<u8>,
    },
    /// Raw opcodes.
    Raw(&'static [u8]),
    /// The same values with torch's negative bit.
    Negated(Box<Value>),
}

/// A contiguous f32 tensor.
pub fn f32s(values: &[f32], shape: &[u8]) -> Value {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
    Value::Tensor { storage: "FloatStorage", bytes, offset: 0, shape: shape.to_vec(), strides }
}

#[derive(Default)]
struct Pickle {
    code: Vec<u8>,
    storages: Vec<Vec<u8>>,
}

impl Pickle {
    fn text(&mut self, text: &str) {
        self.code.push(b'X');
        self.code.extend((text.len() as u32).to_le_bytes());
        self.code.extend(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.code.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    fn ints(&mut self, values: &[u8]) {
        self.code.push(b'(');
        for &value in values {
            self.code.extend([b'K', value]);
        }
        self.code.push(b't');
    }

    fn value(&mut self, value: &Value) {
        let (value, negated) = match value {
            Value::Negated(value) => (&**value, true),
            other => (other, false),
        };
        match value {
            Value::Negated(_) => unreachable!("twice negated"),
            Value::Raw(code) => self.code.extend(*code),
            Value::Int(value) => self.code.extend([b'K', *value]),
            Value::Dict(entries) => {
                self.code.extend(b"}(");
                for (key, value) in entries {
                    self.text(key);
                    self.value(value);
                }
                self.code.push(b'u');
            }
            Value::Tensor { storage, bytes, offset, shape, strides } => {
                let size = match *storage {
                    "DoubleStorage" | "LongStorage" => 8,
                    "FloatStorage" => 4,
                    _ => 2,
                };
                self.global("torch._utils", "_rebuild_tensor_v2");
                self.code.extend(b"((");
                self.text("storage");
                self.global("torch", storage);
                self.text(&self.storages.len().to_string());
                self.text("cpu");
                self.code.extend([b'K', (bytes.len() / size) as u8]);
                self.code.extend(b"tQ");
                self.code.extend([b'K', *offset]);
                self.ints(shape);
                self.ints(strides);
                self.code.push(0x89); // requires_grad: False
                self.global("collections", "OrderedDict");
                self.code.extend(b")R");
                if negated {
                    self.code.push(b'}');
                    self.text("neg");
                    self.code.extend([0x88, b's']);
                }
                self.code.extend(b"tR");
                let mut sized = ((bytes.len() / size) as u64).to_le_bytes().to_vec();
                sized.extend(bytes);
                self.storages.push(sized);
            }
        }
    }

    fn of(value: &Value) -> Self {
        let mut pickle = Self { code: vec![0x80, 2], storages: Vec::new() };
        pickle.value(value);
        pickle.code.push(b'.');
        pickle
    }
}

/// The file of `torch.save(value, _use_new_zipfile_serialization=False)`.
pub fn legacy(value: &Value) -> Vec<u8> {
    let mut file = vec![0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
    file.extend([0x80, 2, b'M', 0xe9, 0x03, b'.']);
    let mut system = Pickle { code: vec![0x80, 2], storages: Vec::new() };
    system.code.extend(b"}(");
    system.text("little_endian");
    system.code.extend([0x88, b'u', b'.']);
    file.extend(system.code);
    let pickle = Pickle::of(value);
    file.extend(pickle.code);
    let mut keys = Pickle { code: vec![0x80, 2, b']', b'('], storages: Vec::new() };
    for key in 0..pickle.storages.len() {
        keys.text(&key.to_string());
    }
    keys.code.extend(b"e.");
    file.extend(keys.code);
    file.extend(pickle.storages.concat());
    file
}

/// The file of `torch.save(value)`: a zip archive of stored entries.
pub fn zip(value: &Value) -> Vec<u8> {
    let pickle = Pickle::of(value);
    let mut entries =
        vec![("archive/data.pkl".to_owned(), pickle.code), ("archive/version".to_owned(), b"3\n".to_vec())];
    for (key, sized) in pickle.storages.into_iter().enumerate() {
        entries.push((format!("archive/data/{key}"), sized[8..].to_vec()));
    }
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in &entries {
        let offset = file.len() as u32;
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc32(bytes).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}
