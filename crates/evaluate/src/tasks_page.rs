//! The page of models on several tasks: the tables of a terminal, with ways to the pages of the tasks.

use std::fmt::Write;

use t5kit_formats::html;
use t5kit_formats::lang::{Lang, fill};

use crate::TaskEvaluation;
use crate::page::STYLE;

/// The page in a language; `date` is shown, `commands` repeat the evaluation. The pages of the parts are expected beside
/// it, as `evaluation.html` in folders of the parts' names ([`crate::Part::name`]).
pub fn tasks_page(evaluation: &TaskEvaluation, lang: Lang, date: &str, commands: &[String]) -> String {
    let t = &lang.texts().pages;
    let names: Vec<&str> = evaluation.models.iter().map(|(name, _)| &**name).collect();
    let n = html::thousands(evaluation.parts.iter().map(|(.., examples)| *examples as u64).sum());
    let title = fill(t.evaluation_title, &[("data", &evaluation.data)]);
    let subtitle = fill(t.evaluation_subtitle, &[("models", &names.join(", ")), ("n", &n), ("date", &date)]);
    let mut body = String::new();
    for rows in evaluation.tables() {
        table(&mut body, evaluation, &rows);
    }
    let lines = html::escape(&commands.join("\n"));
    let _ = writeln!(body, "<h2>{}</h2>\n<pre>{lines}</pre>", html::escape(t.to_repeat));
    html::page(lang, &title, &subtitle, STYLE, &body)
}

/// A table whose first row is the head. In one of a task in several languages these have pages; in another the tasks.
fn table(body: &mut String, evaluation: &TaskEvaluation, rows: &[Vec<String>]) {
    let Some((head, rows)) = rows.split_first() else { return };
    let page = |task: &str, language: Option<&str>| {
        let is = |part: &&(String, Option<String>, usize)| part.0 == task && part.1.as_deref() == language;
        evaluation.parts.iter().find(is).map(|_| match language {
            Some(language) => format!("{task}.{language}"),
            None => task.to_owned(),
        })
    };
    let cell = |text: &str, page: Option<String>| match page {
        // Names of tasks have no slash, but may have what a link must not.
        Some(page) => {
            format!("<a href=\"{}/evaluation.html\">{}</a>", in_link(&page), html::escape(text))
        }
        None => html::escape(text).to_string(),
    };
    let task = &head[0];
    body.push_str("<div class=\"scroll\"><table>\n<tr>");
    for text in head {
        let _ = write!(body, "<th>{}</th>", cell(text, page(task, Some(text))));
    }
    body.push_str("</tr>\n");
    for row in rows {
        let _ = write!(body, "<tr><td class=\"model\">{}</td>", cell(&row[0], page(&row[0], None)));
        for text in &row[1..] {
            let _ = write!(body, "<td>{}</td>", html::escape(text));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table></div>\n");
}

/// A name as a part of a relative link: bytes that have a meaning there as `%XX`.
fn in_link(name: &str) -> String {
    let mut link = String::new();
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => link.push(char::from(byte)),
            false => {
                let _ = write!(link, "%{byte:02X}");
            }
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_languages_lead_to_their_pages() {
        let figures = |value: f64| vec![("accuracy".to_owned(), value)];
        let evaluation = TaskEvaluation {
            data: "a <suite>".into(),
            parts: vec![
                ("xnli".into(), Some("en".into()), 1000),
                ("xnli".into(), Some("zh".into()), 1000),
                ("情感 1".into(), None, 4),
            ],
            models: vec![("m".into(), vec![figures(0.5), figures(0.25), figures(1.0)])],
        };
        let page = tasks_page(&evaluation, Lang::En, "today", &["t5kit evaluate <x>".to_owned()]);
        for part in [
            "a &lt;suite&gt;: evaluation",
            "m · 2,004 examples · today",
            "<th><a href=\"xnli.en/evaluation.html\">en</a></th>",
            "<th><a href=\"xnli.zh/evaluation.html\">zh</a></th>",
            "<th>mean</th>",
            "<td>50.0</td><td>25.0</td><td>37.5</td>",
            "<a href=\"%E6%83%85%E6%84%9F%201/evaluation.html\">情感 1</a>",
            "t5kit evaluate &lt;x&gt;",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
