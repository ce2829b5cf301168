//! A command as one would type it, and the date, as pages show them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Today in UTC: 2026-01-31 12:34 UTC.
pub fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, minutes) = (seconds / 86_400, seconds / 60 % 1440);
    let (year, month, day) = date(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// The date so many days after the first of January 1970, by the Gregorian calendar (Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The arguments as one would type them, without those that only matter where a run is there already.
pub fn command_line(arguments: &[String]) -> String {
    line(arguments.iter().filter(|a| !matches!(a.as_str(), "--resume" | "--force")))
}

/// The arguments as one would type them.
pub fn line<'a>(arguments: impl IntoIterator<Item = &'a String>) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = arguments.into_iter().map(|a| match a.chars().all(plain) && !a.is_empty() {
        true => a.clone(),
        false => format!("'{}'", a.replace('\'', r"'\''")),
    });
    std::iter::once("t5kit".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_454), (2026, 1, 1));
        assert_eq!(date(20_819), (2027, 1, 1));
    }

    #[test]
    fn the_command_can_be_typed_again() {
        let arguments =
            ["finetune", "--source-prefix", "it's ", "--force", "--train", "训练.tsv", "--target", ""];
        assert_eq!(
            command_line(&arguments.map(String::from)),
            r"t5kit finetune --source-prefix 'it'\''s ' --train 训练.tsv --target ''"
        );
    }
}
