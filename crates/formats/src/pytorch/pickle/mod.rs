//! A pickle machine that can build data and nothing else.
//!
//! Objects live in an arena and refer to each other by number, so that no depth of nesting and no cycle
//! costs stack. What an opcode copies is counted against the pickle's length, so that memory is in proportion
//! to it. Opcodes: Python's `Lib/pickletools.py`, protocols 0 to 5.

mod machine;

use self::machine::Machine;

/// The longest pickle that is run, in bytes. A state dictionary's takes about 150 bytes a tensor.
const MAX: usize = 8 << 20;

/// The longest name of Python, in bytes.
const MAX_NAME: usize = 200;

/// The number of an object in the arena.
pub(super) type Id = u32;

/// A value that a pickle made.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Object {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number of at most 64 bits.
    Int(i64),
    /// A number that no tensor's description has: a float, or a whole number of more than 64 bits (kept as
    /// its little-endian bytes).
    Number(Vec<u8>),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dictionary, ordered or not, in the order of insertion.
    Dict(Vec<(Id, Id)>),
    /// A name of Python, not looked up.
    Global(String),
    /// What `persistent_id` gave: in a file of torch, a storage.
    Persistent(Id),
    /// A call that was not made: the callee's name, which is one of [`CALLABLE`], and its arguments.
    Call(&'static str, Vec<Id>),
    /// A call of anything else, which was not made either: its callee. What it would have been, and what it was given,
    /// is not known.
    Unknown(Id),
}

/// A pickle that was run: its objects, the last of them the result, and the bytes it took.
pub(super) struct Pickled {
    objects: Vec<Object>,
    pub root: Id,
    pub len: usize,
}

impl Pickled {
    pub fn get(&self, id: Id) -> &Object {
        // Numbers come from the machine alone, which gives out none that is not there.
        &self.objects[id as usize]
    }

    /// The name of Python that an object would have been made by, where that is not understood here.
    pub fn unknown(&self, id: Id) -> Option<&str> {
        let Object::Unknown(callee) = *self.get(id) else { return None };
        let mut callee = callee;
        // What a call gave was called in its turn; numbers fall, so that this ends.
        while let Object::Unknown(inner) = *self.get(callee) {
            callee = inner;
        }
        match self.get(callee) {
            Object::Global(name) => Some(name),
            Object::Call(name, _) => Some(name),
            _ => Some("(unknown)"),
        }
    }

    /// All values that the pickle made, used in its result or not.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }
}

/// Names whose calls are understood, all of which only build data. None is called, these or others.
const CALLABLE: [&str; 7] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Size",
];

/// Runs the pickle at the beginning of `bytes`.
///
/// # Errors
/// One line that says what is wrong and at which byte.
pub(super) fn run(bytes: &[u8]) -> Result<Pickled, String> {
    let mut machine = Machine::new(bytes);
    loop {
        let at = machine.at;
        if at > MAX {
            return Err(format!("a pickle of more than {} MB, which no state dictionary needs", MAX >> 20));
        }
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(machine.finish(root)),
            Err(what) => return Err(format!("{what} (byte {at} of the pickle)")),
        }
    }
}

type Step<T> = Result<T, String>;

impl Machine<'_> {
    /// One opcode; the result where it is the last.
    fn step(&mut self) -> Step<Option<Id>> {
        let op = self.byte()?;
        match op {
            // Versions and frames change nothing about how opcodes are read.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or("the stack is empty")?;
                self.stack.push(top);
            }

            b'N' => self.push(Object::None),
            0x88 => self.push(Object::Bool(true)),
            0x89 => self.push(Object::Bool(false)),
            b'K' => {
                let n = self.byte()?;
                self.push(Object::Int(n.into()));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Object::Int(n.into()));
            }
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Object::Int(n.into()));
            }
            b'I' | b'L' => {
                let line = self.line()?;
                let number = match line {
                    "00" => Object::Bool(false),
                    "01" => Object::Bool(true),
                    _ => {
                        let n = line.strip_suffix('L').unwrap_or(line).parse();
                        Object::Int(n.map_err(|_| format!("{line:?} is not a number"))?)
                    }
                };
                self.push(number);
            }
            0x8a => {
                let n = self.byte()?.into();
                self.long(n)?;
            }
            0x8b => {
                let n = self.length4()?;
                self.long(n)?;
            }
            b'G' => {
                let n = self.take(8)?.to_vec();
                self.push(Object::Number(n));
            }
            b'F' => {
                let n = self.line()?.as_bytes().to_vec();
                self.push(Object::Number(n));
            }

            b'X' => {
                let n = self.length4()?;
                self.text(n)?;
            }
            0x8c => {
                let n = self.byte()?.into();
                self.text(n)?;
            }
            0x8d => {
                let n = self.length8()?;
                self.text(n)?;
            }
            b'V' => {
                let line = self.line()?;
                if line.contains('\\') {
                    return Err("text with escapes is not read".into());
                }
                let text = line.to_owned();
                self.push(Object::Text(text));
            }
            // Strings of Python 2: names in old files, all ASCII.
            b'U' => {
                let n = self.byte()?.into();
                self.text(n)?;
            }
            b'T' => {
                let n = self.length4()?;
                self.text(n)?;
            }
            b'S' => {
                let line = self.line()?;
                let text = ['\'', '"'].iter().find_map(|&q| line.strip_prefix(q)?.strip_suffix(q));
                match text {
                    Some(text) if !text.contains('\\') => self.push(Object::Text(text.to_owned())),
                    _ => return Err(format!("{line:?} is not a string that is read")),
                }
            }
            b'B' => {
                let n = self.length4()?;
                self.raw(n)?;
            }
            b'C' => {
                let n = self.byte()?.into();
                self.raw(n)?;
            }
            0x8e | 0x96 => {
                let n = self.length8()?;
                self.raw(n)?;
            }

            b'}' => self.push(Object::Dict(Vec::new())),
            b']' => self.push(Object::List(Vec::new())),
            // A set, which no state dictionary has but what is saved beside one may.
            0x8f => self.push(Object::List(Vec::new())),
            b')' => self.push(Object::Tuple(Vec::new())),
            0x85..=0x87 => {
                let n = usize::from(op - 0x84);
                let from = self.stack.len().checked_sub(n).ok_or("the stack is empty")?;
                let items = self.split(from)?;
                self.push(Object::Tuple(items));
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Object::Tuple(items));
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Object::List(items));
            }
            b'd' => {
                let items = pairs(self.pop_mark()?)?;
                self.push(Object::Dict(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend_list(items)?;
            }
            // A frozen set.
            0x91 => {
                let items = self.pop_mark()?;
                self.push(Object::List(items));
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(vec![(key, value)])?;
            }
            b'u' => {
                let items = pairs(self.pop_mark()?)?;
                self.extend_dict(items)?;
            }

            b'q' => {
                let n = self.byte()?.into();
                self.memorise(n)?;
            }
            b'r' => {
                let n = u32::from_le_bytes(self.array()?);
                self.memorise(n)?;
            }
            b'p' => {
                let n = self.number_line()?;
                self.memorise(n)?;
            }
            0x94 => {
                let n = self.memo.len() as u32;
                self.memorise(n)?;
            }
            b'h' => {
                let n = self.byte()?.into();
                self.recall(n)?;
            }
            b'j' => {
                let n = u32::from_le_bytes(self.array()?);
                self.recall(n)?;
            }
            b'g' => {
                let n = self.number_line()?;
                self.recall(n)?;
            }

            b'c' => {
                let module = self.line()?.to_owned();
                let name = self.line()?;
                let name = global(&module, name)?;
                self.push(name);
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (Object::Text(module), Object::Text(name)) = (self.get(module), self.get(name)) else {
                    return Err("a name that is not text".into());
                };
                let name = global(module, name)?;
                self.push(name);
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Persistent(id));
            }
            // Calling, and making an object of a class: the same here, for neither is done.
            b'R' | 0x81 => {
                let args = self.pop()?;
                let callee = self.pop()?;
                self.call(callee, args)?;
            }
            0x92 => {
                self.pop()?;
                let args = self.pop()?;
                let callee = self.pop()?;
                self.call(callee, args)?;
            }
            b'b' => self.build()?,
            _ => return Err(format!("opcode {op:#04x}, which no state dictionary needs, is refused")),
        }
        Ok(None)
    }

    /// Notes a call; of a name that is not on the list, no more than that there was one.
    fn call(&mut self, callee: Id, args: Id) -> Step<()> {
        let name = match self.get(callee) {
            Object::Global(name) => CALLABLE.iter().find(|c| *c == name),
            Object::Unknown(_) | Object::Call(..) => None,
            _ => return Err("a call of something that is not a name is refused".into()),
        };
        let Some(&name) = name else {
            self.push(Object::Unknown(callee));
            return Ok(());
        };
        let Object::Tuple(items) = self.get(args) else {
            return Err("a call without a tuple of arguments".into());
        };
        let made = match (name, &items[..]) {
            ("collections.OrderedDict", []) => Object::Dict(Vec::new()),
            // Python 2's: one list of pairs.
            ("collections.OrderedDict", [one]) => {
                let Object::List(list) = self.get(*one) else {
                    return Err("a dictionary made of something else than pairs".into());
                };
                let pair = |&id: &Id| match self.get(id) {
                    Object::List(p) | Object::Tuple(p) if p.len() == 2 => Ok((p[0], p[1])),
                    _ => Err("a dictionary made of something else than pairs".to_owned()),
                };
                Object::Dict(list.iter().map(pair).collect::<Step<_>>()?)
            }
            _ => Object::Call(name, items.clone()),
        };
        // Arguments can be recalled again and again, each time for three bytes.
        self.copied += match &made {
            Object::Dict(items) => items.len(),
            Object::Call(_, items) => items.len(),
            _ => 0,
        };
        if self.copied > MAX {
            return Err("calls with too many arguments, which no state dictionary needs".into());
        }
        self.push(made);
        Ok(())
    }

    /// The attributes that an object is given: a state dictionary's `_metadata`, and those of objects that are not known;
    /// of no use here.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.stack.last().map(|&id| self.get(id)) {
            Some(Object::Dict(_) | Object::Call(..) | Object::Unknown(_)) => Ok(()),
            _ => Err("attributes for something that is not a dictionary are refused".into()),
        }
    }
}

/// A name of Python. Its parts can be recalled again and again, so that its length must be bounded.
fn global(module: &str, name: &str) -> Step<Object> {
    if module.len() + name.len() > MAX_NAME {
        return Err("a name of Python that is longer than any".into());
    }
    Ok(Object::Global(format!("{module}.{name}")))
}

/// Keys and values in turn.
fn pairs(items: Vec<Id>) -> Step<Vec<(Id, Id)>> {
    if !items.len().is_multiple_of(2) {
        return Err("a key without a value".into());
    }
    Ok(items.chunks_exact(2).map(|p| (p[0], p[1])).collect())
}
