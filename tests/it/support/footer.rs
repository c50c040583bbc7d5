//! Falsifies the metadata of a Parquet file: any field of its footer, indexes and page headers, by the numbers of the
//! format's Thrift definition.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Numbers of fields.
pub(crate) const ROW_GROUPS: i16 = 4;
const META_DATA: i16 = 3;
const PATH_IN_SCHEMA: i16 = 3;
const OFFSET_INDEX: (i16, i16) = (4, 5);
const COLUMN_INDEX: (i16, i16) = (6, 7);

const LENGTH_AND_MAGIC: usize = 8;

/// A value in Thrift's compact protocol.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// An integer of 16, 32 or 64 bits, with its type.
    Int(u8, i64),
    Binary(Vec<u8>),
    List(u8, Vec<Value>),
    Struct(BTreeMap<i16, Value>),
}

const INT64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A 64-bit integer.
pub(crate) fn int(value: i64) -> Value {
    Value::Int(INT64, value)
}

/// A value of bytes.
pub(crate) fn binary(value: &[u8]) -> Value {
    Value::Binary(value.to_vec())
}

impl Value {
    /// A field of a structure, which must exist.
    pub(crate) fn field(&mut self, id: i16) -> &mut Self {
        self.fields().get_mut(&id).unwrap()
    }

    pub(crate) fn fields(&mut self) -> &mut BTreeMap<i16, Self> {
        match self {
            Self::Struct(fields) => fields,
            other => panic!("{other:?} is not a structure"),
        }
    }

    pub(crate) fn list(&mut self) -> &mut Vec<Self> {
        match self {
            Self::List(_, elements) => elements,
            other => panic!("{other:?} is not a list"),
        }
    }

    pub(crate) fn int(&self) -> i64 {
        match self {
            Self::Int(_, value) => *value,
            other => panic!("{other:?} is not an integer"),
        }
    }

    /// Adds to an integer.
    pub(crate) fn add(&mut self, more: i64) {
        match self {
            Self::Int(_, value) => *value += more,
            other => panic!("{other:?} is not an integer"),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(true) => 1,
            Self::Bool(false) => 2,
            Self::Int(kind, _) => *kind,
            Self::Binary(_) => BINARY,
            Self::List(..) => LIST,
            Self::Struct(_) => STRUCT,
        }
    }
}

struct Input<'b>(&'b [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap();
        self.0 = rest;
        *first
    }

    fn varint(&mut self) -> u64 {
        let byte = self.byte();
        let low = u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            low
        } else {
            low | self.varint() << 7
        }
    }

    fn int(&mut self) -> i64 {
        let value = self.varint();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }

    fn value(&mut self, kind: u8, is_element: bool) -> Value {
        match kind {
            1 | 2 if is_element => Value::Bool(self.byte() == 1),
            1 | 2 => Value::Bool(kind == 1),
            4..=INT64 => Value::Int(kind, self.int()),
            BINARY => {
                let length = usize::try_from(self.varint()).unwrap();
                let (value, rest) = self.0.split_at(length);
                self.0 = rest;
                Value::Binary(value.to_vec())
            }
            LIST => {
                let header = self.byte();
                let length = match header >> 4 {
                    15 => self.varint(),
                    short => u64::from(short),
                };
                let kind = header & 15;
                Value::List(kind, (0..length).map(|_| self.value(kind, true)).collect())
            }
            STRUCT => {
                let (mut fields, mut last) = (BTreeMap::new(), 0);
                loop {
                    let header = self.byte();
                    if header == 0 {
                        return Value::Struct(fields);
                    }
                    last = match header >> 4 {
                        0 => i16::try_from(self.int()).unwrap(),
                        step => last + i16::from(step),
                    };
                    fields.insert(last, self.value(header & 15, false));
                }
            }
            other => panic!("type {other}"),
        }
    }
}

fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn push_int(value: i64, out: &mut Vec<u8>) {
    push_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

fn push(value: &Value, is_element: bool, out: &mut Vec<u8>) {
    match value {
        Value::Bool(value) if is_element => out.push(if *value { 1 } else { 2 }),
        Value::Bool(_) => {}
        Value::Int(_, value) => push_int(*value, out),
        Value::Binary(value) => {
            push_varint(value.len() as u64, out);
            out.extend(value);
        }
        Value::List(kind, elements) => {
            out.push(0xF0 | kind);
            push_varint(elements.len() as u64, out);
            for element in elements {
                push(element, true, out);
            }
        }
        Value::Struct(fields) => {
            for (id, value) in fields {
                out.push(value.kind());
                push_int(i64::from(*id), out);
                push(value, false, out);
            }
            out.push(0);
        }
    }
}

fn parse(bytes: &[u8]) -> Value {
    Input(bytes).value(STRUCT, false)
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = vec![];
    push(value, false, &mut bytes);
    bytes
}

/// A file, and its decoded footer.
pub(crate) struct Falsified {
    /// The bytes before the footer.
    pub(crate) data: Vec<u8>,
    pub(crate) footer: Value,
}

impl Falsified {
    pub(crate) fn of(file: &[u8]) -> Self {
        let end = file.len() - LENGTH_AND_MAGIC;
        let length = u32::from_le_bytes(file[end..end + 4].try_into().unwrap());
        let start = end - usize::try_from(length).unwrap();
        Self {
            data: file[..start].to_vec(),
            footer: parse(&file[start..end]),
        }
    }

    /// Changes the file at a path.
    pub(crate) fn change(path: &Path, change: impl FnOnce(&mut Self)) {
        let mut file = Self::of(&fs::read(path).unwrap());
        change(&mut file);
        fs::write(path, file.bytes()).unwrap();
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let footer = encoded(&self.footer);
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        [self.data.as_slice(), &footer, &length, b"PAR1"].concat()
    }

    pub(crate) fn row_group(&mut self, number: usize) -> &mut Value {
        &mut self.footer.field(ROW_GROUPS).list()[number]
    }

    fn chunk(&mut self, column: &str) -> &mut Value {
        let chunks = self.row_group(0).field(1).list();
        let is_column = |chunk: &mut Value| {
            let name = &chunk.field(META_DATA).field(PATH_IN_SCHEMA).list()[0];
            *name == binary(column.as_bytes())
        };
        let at = chunks.iter_mut().position(is_column).unwrap();
        &mut chunks[at]
    }

    /// The metadata of a column in the first row group.
    pub(crate) fn column(&mut self, column: &str) -> &mut Value {
        self.chunk(column).field(META_DATA)
    }

    /// Changes a column's index in the first row group, or its offset index.
    fn change_index(
        &mut self,
        column: &str,
        (offset, length): (i16, i16),
        change: impl FnOnce(&mut Value),
    ) {
        let start = usize::try_from(self.chunk(column).field(offset).int()).unwrap();
        let mut index = parse(&self.data[start..]);
        change(&mut index);
        let bytes = encoded(&index);
        let at = i64::try_from(self.data.len()).unwrap();
        self.data.extend(&bytes);
        let chunk = self.chunk(column);
        *chunk.field(offset) = int(at);
        *chunk.field(length) = Value::Int(5, i64::try_from(bytes.len()).unwrap());
    }

    pub(crate) fn change_column_index(&mut self, column: &str, change: impl FnOnce(&mut Value)) {
        self.change_index(column, COLUMN_INDEX, change);
    }

    pub(crate) fn change_offset_index(&mut self, column: &str, change: impl FnOnce(&mut Value)) {
        self.change_index(column, OFFSET_INDEX, change);
    }

    /// The stated offset and length of a column's offset index.
    pub(crate) fn offset_index_place(&mut self, column: &str) -> [&mut Value; 2] {
        let fields = self.chunk(column).fields();
        let mut fields = fields.range_mut(OFFSET_INDEX.0..=OFFSET_INDEX.1);
        [fields.next().unwrap().1, fields.next().unwrap().1]
    }

    /// The encodings and codecs of all column chunks and page headers, and the column orders.
    pub(crate) fn features(&mut self) -> Features {
        let mut features = Features::default();
        for order in self.footer.field(7).list() {
            features.orders.extend(order.fields().keys());
        }
        let groups = self.footer.field(ROW_GROUPS).list().clone();
        for mut chunk in groups
            .into_iter()
            .flat_map(|mut group| group.field(1).list().clone())
        {
            let meta = chunk.field(META_DATA);
            features.codecs.push(meta.field(4).int());
            let encodings = meta.field(2).list().iter().map(Value::int);
            features.encodings.extend(encodings);
            let start = meta.fields().clone();
            let start = start.get(&11).or(start.get(&9)).unwrap();
            let mut at = usize::try_from(start.int()).unwrap();
            let end = at + usize::try_from(meta.field(7).int()).unwrap();
            while at < end {
                let mut input = Input(&self.data[at..end]);
                let mut header = input.value(STRUCT, false);
                let size = usize::try_from(header.field(3).int()).unwrap();
                at = end - input.0.len() + size;
                features.page_types.push(header.field(1).int());
                for (id, fields) in [(5, 2..=4), (7, 2..=2)] {
                    if let Some(of_type) = header.fields().get_mut(&id) {
                        assert!(of_type.fields().keys().all(|id| *id < 5));
                        let encodings = fields.map(|id| of_type.field(id).int());
                        features.encodings.extend(encodings);
                    }
                }
            }
        }
        for list in [
            &mut features.codecs,
            &mut features.encodings,
            &mut features.page_types,
        ] {
            list.sort_unstable();
            list.dedup();
        }
        features.orders.sort_unstable();
        features.orders.dedup();
        features
    }
}

/// The features of the format that a file uses, by their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) orders: Vec<i16>,
    pub(crate) codecs: Vec<i64>,
    pub(crate) encodings: Vec<i64>,
    pub(crate) page_types: Vec<i64>,
}
