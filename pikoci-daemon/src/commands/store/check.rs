//! `pikoci store check`.

use pikoci_store::BackendUrl;
use pikoci_store::transfer::{self, Check as Found};
use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr;

use super::place::{Need, named_twice, not_moved, open, run, url_and_file, verify, warn_if_empty};
use super::told::{Line, entries, size};
use crate::cli::{Check, Output};
use crate::commands::{Stop, print};
use crate::exit::Exit;

/// Reads all that is in a store and tells what is there.
pub(crate) fn check(arguments: &Check) -> Result<Exit, Stop> {
    let (url, rest) = url_and_file(&arguments.database, arguments.url.as_deref(), None)?;
    if rest.is_some() {
        return Err(named_twice());
    }
    run(async {
        // Before it is opened, which may repair what it can.
        let damage = verify(&url).await?;
        let found = if damage.is_empty() {
            let store = open(&url, Need::Existing).await?;
            let line = Line::new();
            let found = transfer::check(store.clone(), |progress| line.tell(progress)).await;
            drop(line);
            // Nothing was written to it.
            let _ = store.close().await;
            found.map_err(|error| not_moved(&error))?
        } else {
            let problems = damage.len() as u64;
            Found { problems, named: damage, ..Found::default() }
        };
        if found.problems == 0 {
            warn_if_empty(&url, found.entries());
        }
        print(&match arguments.output {
            Output::Json => json(&url, &found),
            Output::Text => text(&url, &found),
        })?;
        Ok(if found.problems == 0 { Exit::Success } else { Exit::Failed })
    })
}

fn json(url: &BackendUrl, found: &Found) -> String {
    let kinds: Map<String, Value> = found
        .kinds
        .iter()
        .map(|(name, kind)| {
            let kind = json!({ "entries": kind.entries, "bytes": kind.bytes, "bad": kind.bad });
            (name.clone(), kind)
        })
        .collect();
    let all = json!({
        "store": url.to_string(),
        "entries": found.entries(),
        "bytes": found.bytes(),
        "kinds": kinds,
        "problems": found.problems,
        "named": found.named,
    });
    format!("{all}\n")
}

fn text(url: &BackendUrl, found: &Found) -> String {
    let mut text = String::new();
    if !found.kinds.is_empty() {
        let width = found.kinds.keys().map(|name| name.width()).max().unwrap_or(0);
        let pad = |name: &str| " ".repeat(width - name.width().min(width));
        text.push_str(&format!("{}  {:>10}  {:>10}  {:>8}\n", pad(""), "entries", "size", "bad"));
        for (name, kind) in &found.kinds {
            let (bytes, bad) = (size(kind.bytes), kind.bad);
            let entries = kind.entries;
            text.push_str(&format!("{name}{}  {entries:>10}  {bytes:>10}  {bad:>8}\n", pad(name)));
        }
        text.push('\n');
    }
    for problem in &found.named {
        text.push_str(&format!("{problem}\n"));
    }
    let more = found.problems - found.named.len() as u64;
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    let all = format!("{}, {}", entries(found.entries()), size(found.bytes()));
    match found.problems {
        0 => text.push_str(&format!("{url} is fine: {all}\n")),
        _ if found.kinds.is_empty() => text.push_str(&format!("{url} is damaged\n")),
        1 => text.push_str(&format!("{url} has 1 problem: {all}\n")),
        count => text.push_str(&format!("{url} has {count} problems: {all}\n")),
    }
    text
}
