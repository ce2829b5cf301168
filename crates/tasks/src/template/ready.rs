//! Templates that are there by name: what the blog post shows (sentiment, topic, reading comprehension) and the four
//! tasks of CSL.

use super::{Error, LabelMap, Template};

/// A task that is ready but for its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What it is called.
    pub name: &'static str,
    /// What it is, in a few words.
    pub definition: &'static str,
    /// The source's template.
    pub source: &'static str,
    /// The target's template.
    pub target: &'static str,
    /// The columns of the templates, and what they are called in the data sets that the task is of: the first of these
    /// that a file has. A number is the place, from 1, in a file without a header.
    pub columns: &'static [(&'static str, &'static [&'static str])],
    /// The column that the labels stand in, where they are a closed set.
    pub label: Option<&'static str>,
    /// Labels as they stand in files, and their names.
    pub labels: &'static [(&'static str, &'static str)],
    /// The metric, by its name among the metrics of generated texts.
    pub metric: &'static str,
    /// Where the form is from.
    pub from: &'static str,
}

/// What is there, for messages.
pub const NAMES: [&str; 7] =
    ["sentiment", "topic", "reading", "csl-title", "csl-keywords", "csl-category", "csl-discipline"];

/// The ready task of that name.
pub fn by_name(name: &str) -> Option<&'static Ready> {
    READY.iter().find(|ready| ready.name == name)
}

impl Ready {
    /// The templates of source and target, for a file with these columns; in a file without a header they are called
    /// `1`, `2`, ….
    ///
    /// # Errors
    /// [`Error::Column`] for a column that goes by none of its names.
    pub fn templates(&self, columns: &[&str]) -> Result<(Template, Template), Error> {
        let of = |text: &str| -> Result<Template, Error> {
            let mut template = Template::parse(text)?;
            let there = self.columns.iter().filter_map(|(name, called)| {
                called.iter().find(|called| columns.contains(*called)).map(|called| (*name, *called))
            });
            template.rename(&there.collect::<Vec<_>>());
            template.check(columns)?;
            Ok(template)
        };
        Ok((of(self.source)?, of(self.target)?))
    }

    /// What the column of the labels is called in a file with these columns.
    pub fn label_column<'c>(&self, columns: &[&'c str]) -> Option<&'c str> {
        let (_, called) = self.columns.iter().find(|(name, _)| Some(*name) == self.label)?;
        called.iter().find_map(|called| columns.iter().copied().find(|column| column == called))
    }

    /// The labels and their names; empty where the target is any text.
    ///
    /// # Errors
    /// None but for a table here that is wrong, which a test rules out.
    pub fn label_map(&self) -> Result<LabelMap, Error> {
        LabelMap::new(self.labels.iter().copied())
    }
}

const POST: &str = "kexue.fm/archives/7867";
const CSL: &str = "ydli-ai/CSL; the words are this program's";

static READY: [Ready; 7] = [
    Ready {
        name: "sentiment",
        definition: "whether a review is positive",
        source: "识别该句子的情感倾向：{text}",
        target: "{label}",
        columns: &[("text", &["text", "sentence", "review", "1"]), ("label", &["label", "2"])],
        label: Some("label"),
        labels: &[
            ("1", "正面"),
            ("0", "负面"),
            ("Positive", "正面"),
            ("Negative", "负面"),
            ("正面", "正面"),
            ("负面", "负面"),
        ],
        metric: "accuracy",
        from: POST,
    },
    Ready {
        name: "topic",
        definition: "the topic of a headline, one of fifteen (TNEWS)",
        source: "新闻标题的主题：{sentence}",
        target: "{label}",
        columns: &[
            ("sentence", &["sentence", "title", "text", "1"]),
            ("label", &["label_desc", "label", "2"]),
        ],
        label: Some("label"),
        labels: &TOPICS,
        metric: "accuracy",
        from: "CLUE's TNEWS; the words are those of recipes/topics.toml",
    },
    Ready {
        name: "reading",
        definition: "the answer to a question about a passage",
        source: "阅读理解：{context}根据上述信息回答问题：{question}",
        target: "{answer}",
        columns: &[
            ("context", &["context", "passage", "text"]),
            ("question", &["question", "query"]),
            ("answer", &["answer"]),
        ],
        label: None,
        labels: &[],
        metric: "cmrc",
        from: POST,
    },
    Ready {
        name: "csl-title",
        definition: "the title of a paper from its abstract",
        source: "论文摘要的标题：{abstract}",
        target: "{title}",
        columns: &[("abstract", &["abstract", "abst", "content", "2"]), ("title", &["title", "3"])],
        label: None,
        labels: &[],
        metric: "csl",
        from: CSL,
    },
    Ready {
        name: "csl-keywords",
        definition: "the keywords of a paper from its abstract",
        source: "论文摘要的关键词：{abstract}",
        target: "{keywords}",
        columns: &[
            ("abstract", &["abstract", "abst", "content", "2"]),
            ("keywords", &["keywords", "keyword", "3"]),
        ],
        label: None,
        labels: &[],
        metric: "csl",
        from: CSL,
    },
    Ready {
        name: "csl-category",
        definition: "the category of a paper from its title, one of thirteen",
        source: "论文标题的类别：{title}",
        target: "{category}",
        columns: &[("title", &["title", "2"]), ("category", &["category", "3"])],
        label: Some("category"),
        labels: &CATEGORIES,
        metric: "accuracy",
        from: CSL,
    },
    Ready {
        name: "csl-discipline",
        definition: "the discipline of a paper from its abstract, one of 67",
        source: "论文摘要的学科：{abstract}",
        target: "{discipline}",
        columns: &[
            ("abstract", &["abstract", "abst", "content", "2"]),
            ("discipline", &["discipline", "label", "3"]),
        ],
        label: Some("discipline"),
        labels: &DISCIPLINES,
        metric: "accuracy",
        from: CSL,
    },
];

/// TNEWS's topics by their number and their English name.
pub(crate) const TOPICS: [(&str, &str); 30] = [
    ("100", "故事"),
    ("101", "文化"),
    ("102", "娱乐"),
    ("103", "体育"),
    ("104", "财经"),
    ("106", "房产"),
    ("107", "汽车"),
    ("108", "教育"),
    ("109", "科技"),
    ("110", "军事"),
    ("112", "旅游"),
    ("113", "国际"),
    ("114", "股票"),
    ("115", "农业"),
    ("116", "电竞"),
    ("news_story", "故事"),
    ("news_culture", "文化"),
    ("news_entertainment", "娱乐"),
    ("news_sports", "体育"),
    ("news_finance", "财经"),
    ("news_house", "房产"),
    ("news_car", "汽车"),
    ("news_edu", "教育"),
    ("news_tech", "科技"),
    ("news_military", "军事"),
    ("news_travel", "旅游"),
    ("news_world", "国际"),
    ("news_stock", "股票"),
    ("news_agriculture", "农业"),
    ("news_game", "电竞"),
];

/// Labels that are called what they are.
macro_rules! same {
    ($($name:literal),* $(,)?) => { [$(($name, $name)),*] };
}

/// CSL's categories.
const CATEGORIES: [(&str, &str); 13] = same![
    "工学",
    "农学",
    "医学",
    "理学",
    "管理学",
    "法学",
    "教育学",
    "经济学",
    "文学",
    "哲学",
    "历史学",
    "艺术学",
    "军事学",
];

/// CSL's disciplines.
pub(crate) const DISCIPLINES: [(&str, &str); 67] = same![
    "中医学/中药学",
    "中国语言文学",
    "交通运输工程",
    "体育学",
    "作物学",
    "信息与通信工程",
    "光学工程",
    "公共卫生与预防医学",
    "公共管理",
    "兵器科学与技术",
    "军事学",
    "农业工程",
    "农业资源利用",
    "农林经济管理",
    "冶金工程",
    "力学",
    "动力工程及工程热物理",
    "化学/化学工程与技术",
    "历史学",
    "口腔医学",
    "哲学",
    "园艺学",
    "图书馆、情报与档案管理",
    "土木工程",
    "地球物理学",
    "地理学",
    "地质学/地质资源与地质工程",
    "基础医学/临床医学",
    "大气科学",
    "天文学",
    "工商管理",
    "应用经济学",
    "建筑学",
    "心理学",
    "控制科学与工程",
    "政治学",
    "教育学",
    "数学",
    "新闻传播学",
    "机械工程",
    "材料科学与工程",
    "林学/林业工程",
    "核科学与技术",
    "植物保护",
    "民族学",
    "水产",
    "水利工程",
    "法学",
    "测绘科学与技术",
    "海洋科学",
    "物理学",
    "环境科学与工程",
    "理论经济学",
    "生物学/生物科学与工程",
    "电子科学与技术",
    "电气工程",
    "畜牧学/兽医学",
    "石油与天然气工程",
    "矿业工程",
    "社会学",
    "纺织科学与工程",
    "航空宇航科学与技术",
    "船舶与海洋工程",
    "艺术学",
    "药学",
    "计算机科学与技术",
    "食品科学与工程",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_templates() {
        assert_eq!(READY.each_ref().map(|ready| ready.name), NAMES);
        for ready in &READY {
            let called: Vec<&str> = ready.columns.iter().map(|(_, called)| called[0]).collect();
            let (source, target) = ready.templates(&called).unwrap();
            assert!(source.columns().chain(target.columns()).all(|column| called.contains(&column)));
            assert_eq!(ready.label.is_some(), !ready.label_map().unwrap().is_empty(), "{}", ready.name);
            assert_eq!(ready.label_column(&called).is_some(), ready.label.is_some());
        }
        assert_eq!(by_name("topic").unwrap().label_map().unwrap().labels().len(), 15);
        assert_eq!(by_name("topics"), None);
    }

    #[test]
    fn columns_of_files() {
        let sentiment = by_name("sentiment").unwrap();
        let (source, target) = sentiment.templates(&["1", "2"]).unwrap();
        assert_eq!(source.fill(|column| if column == "1" { "好" } else { "" }), "识别该句子的情感倾向：好");
        assert_eq!((target.columns().next(), sentiment.label_column(&["1", "2"])), (Some("2"), Some("2")));
        let said = sentiment.templates(&["txt", "label"]).unwrap_err().to_string();
        assert_eq!(
            said,
            "template \"识别该句子的情感倾向：{text}\": there is no column text, did you mean txt?; there are txt, label"
        );
        // The number of a topic stands in `label`, its name in `label_desc`.
        let columns = ["label", "label_desc", "sentence"];
        assert_eq!(by_name("topic").unwrap().label_column(&columns), Some("label_desc"));
    }
}
