//! What the names of columns say about what they hold.
//!
//! A name either belongs to one side (`question` is asked, `answer` is the answer) or to a kind of text, of which the
//! longer is what the shorter is made from (正文, 摘要, 标题, 标签). [`Roles::of_names`] takes from a table's names
//! which column is the source and which the target, where only one reading is possible; it never guesses.

/// What a column's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// What is read.
    Source,
    /// What is to be done with it: alone it is the source.
    Task,
    /// What is written.
    Target,
    /// A text of this length: whole 4, abstract 3, title 2, label 1. The longer is the source.
    Text(u8),
    /// Known, and neither: numbers of rows, dates, places.
    Neither,
}

/// Names in lower case and without spaces, hyphens and underscores, and their roles.
const NAMES: [(&[&str], Role); 9] = [
    (
        &[
            "source",
            "src",
            "input",
            "inputs",
            "question",
            "query",
            "sourcetext",
            "inputtext",
            "sourcesentence",
            "原文",
            "源文",
            "源文本",
            "输入",
            "输入文本",
            "问题",
            "提问",
            "问",
            "问句",
            "上句",
            "上联",
            "源语言",
        ],
        Role::Source,
    ),
    (&["instruction", "prompt", "task", "指令", "任务", "提示", "提示词"], Role::Task),
    (
        &[
            "target",
            "tgt",
            "output",
            "outputs",
            "answer",
            "answers",
            "response",
            "completion",
            "reply",
            "targettext",
            "outputtext",
            "targetsentence",
            "chosen",
            "译文",
            "目标",
            "目标文本",
            "输出",
            "输出文本",
            "答案",
            "回答",
            "答",
            "答复",
            "回复",
            "应答",
            "下句",
            "下联",
            "翻译",
            "目标语言",
            "结果",
        ],
        Role::Target,
    ),
    (
        &[
            "document",
            "doc",
            "article",
            "text",
            "content",
            "contents",
            "body",
            "passage",
            "context",
            "paragraph",
            "dialogue",
            "dialog",
            "sentence",
            "maintext",
            "fulltext",
            "正文",
            "全文",
            "文章",
            "内容",
            "文本",
            "文档",
            "原文内容",
            "新闻",
            "段落",
            "篇章",
            "上下文",
            "对话",
            "句子",
            "评论",
        ],
        Role::Text(4),
    ),
    (
        &["abstract", "summary", "summaries", "highlights", "摘要", "概要", "总结", "简介", "概述"],
        Role::Text(3),
    ),
    (&["title", "titles", "headline", "heading", "subject", "标题", "题目", "题名"], Role::Text(2)),
    (
        &[
            "label",
            "labels",
            "labeldesc",
            "category",
            "class",
            "tag",
            "tags",
            "keywords",
            "keyword",
            "keyphrases",
            "sentiment",
            "标签",
            "类别",
            "分类",
            "类型",
            "关键词",
            "关键字",
            "情感",
            "学科",
        ],
        Role::Text(1),
    ),
    (
        &[
            "id", "idx", "index", "no", "number", "guid", "uuid", "rowid", "docid", "date", "time",
            "datetime", "url", "link", "author", "authors", "lang", "language", "split", "编号", "序号",
            "行号", "日期", "时间", "作者", "链接", "网址", "来源", "语言",
        ],
        Role::Neither,
    ),
    (&["history", "system", "历史", "系统"], Role::Neither),
];

/// A name as [`NAMES`] has it: in lower case, without spaces, hyphens and underscores.
fn plain(name: &str) -> String {
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '"');
    name.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

fn role(name: &str) -> Option<Role> {
    let name = plain(name);
    NAMES.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, role)| *role)
}

/// Whether a source of this name is a question, which may be about another text.
fn asks(name: &str) -> bool {
    matches!(plain(name).as_str(), "question" | "query" | "问题" | "提问" | "问")
}

/// Whether a cell is a name that columns have.
pub(super) fn is_known(name: &str) -> bool {
    role(name).is_some()
}

/// Whether two names of columns are the same but for case and the spaces around them.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    let trim = |name: &str| name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_lowercase();
    trim(a) == trim(b)
}

/// Places (from 0) of the columns that make an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// What is read.
    pub source: usize,
    /// What is written.
    pub target: usize,
    /// What is to be done, where that is a column of its own.
    pub prompt: Option<usize>,
}

impl Roles {
    /// By the names, where they allow one reading only.
    pub fn of_names(names: &[&str]) -> Option<Self> {
        let of = |wanted: &dyn Fn(Role) -> bool| -> Vec<usize> {
            (0..names.len()).filter(|&i| role(names[i]).is_some_and(wanted)).collect()
        };
        let exactly = |name: &str| {
            let mut places = (0..names.len()).filter(|&i| plain(names[i]) == name);
            places.next().filter(|_| places.next().is_none())
        };
        // These names are the program's own, whatever stands beside them.
        if let (Some(source), Some(target)) = (exactly("source"), exactly("target")) {
            return Some(Roles { source, target, prompt: None });
        }
        let sources = of(&|role| role == Role::Source);
        let tasks = of(&|role| role == Role::Task);
        let targets = of(&|role| role == Role::Target);
        let texts = of(&|role| matches!(role, Role::Text(_)));
        let whole = of(&|role| role == Role::Text(4));
        let (source, target, prompt) = match (&sources[..], &tasks[..], &targets[..]) {
            // A question, the text that it is about, and the answer (SQuAD).
            (&[asked], [], &[target]) if whole.len() == 1 && asks(names[asked]) => {
                (whole[0], target, Some(asked))
            }
            (&[source], [], &[target]) => (source, target, None),
            // What is to be done, with what, and what came of it (Alpaca).
            (&[source], &[task], &[target]) => (source, target, Some(task)),
            ([], &[task], &[target]) if whole.is_empty() => (task, target, None),
            ([], &[task], &[target]) if whole.len() == 1 => (whole[0], target, Some(task)),
            ([], [], &[target]) if texts.len() == 1 => (texts[0], target, None),
            (&[source], [], []) | ([], &[source], []) if texts.len() == 1 => (source, texts[0], None),
            ([], [], []) if texts.len() == 2 => {
                let level = |at: usize| {
                    role(names[at]).map_or(0, |role| if let Role::Text(n) = role { n } else { 0 })
                };
                match level(texts[0]).cmp(&level(texts[1])) {
                    std::cmp::Ordering::Greater => (texts[0], texts[1], None),
                    std::cmp::Ordering::Less => (texts[1], texts[0], None),
                    std::cmp::Ordering::Equal => return None,
                }
            }
            _ => return None,
        };
        Some(Roles { source, target, prompt })
    }

    /// The only column that can be read from by its name, where nothing is to be written: the source, else the longest
    /// text.
    pub fn source_of_names(names: &[&str]) -> Option<usize> {
        if let Some(roles) = Self::of_names(names) {
            return Some(roles.source);
        }
        let of = |wanted: Role| -> Vec<usize> {
            (0..names.len()).filter(|&i| role(names[i]) == Some(wanted)).collect()
        };
        [Role::Source, Role::Text(4), Role::Text(3), Role::Task, Role::Text(2)]
            .into_iter()
            .map(of)
            .find(|places| !places.is_empty())
            .filter(|places| places.len() == 1)
            .map(|places| places[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(names: &str) -> Option<(usize, usize, Option<usize>)> {
        let names: Vec<&str> = names.split('|').collect();
        Roles::of_names(&names).map(|roles| (roles.source, roles.target, roles.prompt))
    }

    #[test]
    fn one_reading_only() {
        for (names, expected) in [
            ("source|target", Some((0, 1, None))),
            ("Target | SOURCE", Some((1, 0, None))),
            ("id|src|tgt", Some((1, 2, None))),
            ("summary|document", Some((1, 0, None))),
            ("text|summary", Some((0, 1, None))),
            ("article|highlights|id", Some((0, 1, None))),
            ("标题|摘要", Some((1, 0, None))),
            ("编号|摘要|正文", Some((2, 1, None))),
            ("问题|答案", Some((0, 1, None))),
            ("原文|译文", Some((0, 1, None))),
            ("内容|标签", Some((0, 1, None))),
            ("sentence|label", Some((0, 1, None))),
            ("prompt|completion", Some((0, 1, None))),
            ("Input Text|Output-Text", Some((0, 1, None))),
            ("instruction|input|output", Some((1, 2, Some(0)))),
            ("instruction|output", Some((0, 1, None))),
            ("title|context|question|answer", Some((1, 3, Some(2)))),
            ("text|source|target", Some((1, 2, None))),
            // What nobody can know.
            ("正文|摘要|标题", None),
            ("en|zh", None),
            ("text|content", None),
            ("question|input|answer", None),
            ("a|b", None),
            ("source", None),
        ] {
            assert_eq!(pair(names), expected, "{names}");
        }
    }

    #[test]
    fn what_to_read() {
        for (names, expected) in [
            ("id|摘要|标题", Some(1)),
            ("text", Some(0)),
            ("标题|作者", Some(0)),
            ("question|id", Some(0)),
            ("text|content", None),
            ("a|b", None),
        ] {
            let names: Vec<&str> = names.split('|').collect();
            assert_eq!(Roles::source_of_names(&names), expected, "{names:?}");
        }
    }

    #[test]
    fn every_name_once_and_as_it_is_compared() {
        let mut all: Vec<&str> = NAMES.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        assert!(all.iter().all(|name| plain(name) == *name));
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
