//! The state of the pickle machine: its bytes, stack, marks and memo, and how opcodes get at them.

use std::collections::HashMap;

use super::{Id, MAX, Object, Pickled, Step};

/// A pickle being run.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) objects: Vec<Object>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Id>,
    /// Items that calls have copied.
    pub(super) copied: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copied: 0,
        }
    }

    /// What was made, with this as its result.
    pub(super) fn finish(self, root: Id) -> Pickled {
        Pickled { objects: self.objects, root, len: self.at }
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    pub(super) fn push(&mut self, object: Object) {
        // `MAX` bytes make far fewer objects than there are numbers.
        self.stack.push(self.objects.len() as Id);
        self.objects.push(object);
    }

    pub(super) fn pop(&mut self) -> Step<Id> {
        // What lies below a mark is not to be had before the mark is gone.
        if self.marks.last() == Some(&self.stack.len()) {
            return Err("a mark where a value is needed".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    pub(super) fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    /// The stack from `from` on, taken off it.
    pub(super) fn split(&mut self, from: usize) -> Step<Vec<Id>> {
        if self.marks.last().is_some_and(|&mark| mark > from) {
            return Err("a mark where a value is needed".into());
        }
        Ok(self.stack.split_off(from))
    }

    pub(super) fn extend_list(&mut self, items: Vec<Id>) -> Step<()> {
        let id = *self.stack.last().ok_or("the stack is empty")?;
        match &mut self.objects[id as usize] {
            Object::List(list) => list.extend(items),
            // Of a class of its own, which is not known.
            Object::Unknown(_) => {}
            _ => return Err("items for something that is not a list".into()),
        }
        Ok(())
    }

    pub(super) fn extend_dict(&mut self, items: Vec<(Id, Id)>) -> Step<()> {
        let id = *self.stack.last().ok_or("the stack is empty")?;
        match &mut self.objects[id as usize] {
            Object::Dict(dict) => dict.extend(items),
            Object::Unknown(_) => {}
            _ => return Err("entries for something that is not a dictionary".into()),
        }
        Ok(())
    }

    pub(super) fn memorise(&mut self, n: u32) -> Step<()> {
        let id = *self.stack.last().ok_or("the stack is empty")?;
        self.memo.insert(n, id);
        Ok(())
    }

    pub(super) fn recall(&mut self, n: u32) -> Step<()> {
        let id = *self.memo.get(&n).ok_or("a value is recalled that was not memorised")?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn byte(&mut self) -> Step<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        if n > MAX {
            return Err(format!("a value of {n} bytes, which no state dictionary needs, or cut off"));
        }
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or("the pickle is cut off")?;
        self.at += n;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| "the pickle is cut off".to_owned())
    }

    pub(super) fn length4(&mut self) -> Step<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub(super) fn length8(&mut self) -> Step<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| "the pickle is cut off".into())
    }

    /// The text up to the end of the line.
    pub(super) fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr(b'\n', rest).ok_or("the pickle is cut off")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| "text that is not UTF-8".into())
    }

    pub(super) fn number_line(&mut self) -> Step<u32> {
        let line = self.line()?;
        line.parse().map_err(|_| format!("{line:?} is not a number"))
    }

    pub(super) fn text(&mut self, n: usize) -> Step<()> {
        let text = std::str::from_utf8(self.take(n)?).map_err(|_| "text that is not UTF-8")?;
        self.push(Object::Text(text.to_owned()));
        Ok(())
    }

    pub(super) fn raw(&mut self, n: usize) -> Step<()> {
        let bytes = self.take(n)?.to_vec();
        self.push(Object::Bytes(bytes));
        Ok(())
    }

    /// A whole number of `n` bytes in two's complement.
    pub(super) fn long(&mut self, n: usize) -> Step<()> {
        let bytes = self.take(n)?;
        let number = if n <= 8 {
            let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
            let mut wide = [fill; 8];
            wide[..n].copy_from_slice(bytes);
            Object::Int(i64::from_le_bytes(wide))
        } else {
            Object::Number(bytes.to_vec())
        };
        self.push(number);
        Ok(())
    }
}
