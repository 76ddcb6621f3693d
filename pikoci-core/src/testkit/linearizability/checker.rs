//! The search for an order that explains every answer.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;

use super::history::Operation;
use super::model::{Model, State};

/// How many states of affairs are told of in a [`Violation`].
const SHOWN: usize = 4;

/// No order of the calls explains their answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// How many calls were answered until there was none; the shortest such
    /// beginning of the history.
    pub answered: usize,
    /// The last of them, whose answer cannot be.
    pub impossible: Operation,
    /// What else ran at that time, or may have.
    pub meanwhile: Vec<Operation>,
    /// What may have been in the store before, a few of all possibilities.
    pub possible: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no order explains the first {} answers; the last is", self.answered)?;
        writeln!(f, "  {}", self.impossible)?;
        writeln!(f, "what may have been in the store before:")?;
        self.possible.iter().try_for_each(|state| writeln!(f, "  {state}"))?;
        writeln!(f, "what else ran meanwhile:")?;
        self.meanwhile.iter().try_for_each(|operation| writeln!(f, "  {operation}"))
    }
}

impl Error for Violation {}

/// One of the things that may be true at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Config {
    state: State,
    /// Which calls that are not answered yet have taken effect, in order.
    done: Vec<usize>,
    /// Which calls that are never answered have taken effect, in order.
    spent: Vec<usize>,
}

fn insert(numbers: &mut Vec<usize>, number: usize) {
    if let Err(at) = numbers.binary_search(&number) {
        numbers.insert(at, number);
    }
}

struct Search<'h> {
    history: &'h [Operation],
    model: Model,
    /// Calls that will be answered.
    open: Vec<usize>,
    /// Calls that never will.
    doubtful: Vec<usize>,
    configs: HashSet<Config>,
}

/// Looks for an order of the calls that explains every answer. The store was
/// empty before.
///
/// # Errors
/// When there is none.
pub fn check(history: &[Operation]) -> Result<(), Box<Violation>> {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (at, operation) in history.iter().enumerate() {
        moments.push((operation.began, at, false));
        if let Some((answered, _)) = &operation.answered {
            moments.push((*answered, at, true));
        }
    }
    moments.sort_unstable();
    let model = Model::new(history);
    let start = Config { state: model.start(), done: Vec::new(), spent: Vec::new() };
    let (open, doubtful, configs) = (Vec::new(), Vec::new(), HashSet::from([start]));
    let mut search = Search { history, model, open, doubtful, configs };
    let mut answered = 0;
    for (_, at, is_answer) in moments {
        if is_answer {
            answered += 1;
            search.answer(at, answered)?;
        } else if history[at].answered.is_some() {
            search.open.push(at);
        } else {
            search.doubtful.push(at);
        }
    }
    Ok(())
}

impl Search<'_> {
    /// Keeps what may be true when this call is answered.
    fn answer(&mut self, at: usize, answered: usize) -> Result<(), Box<Violation>> {
        let (near, near_doubtful) = self.near(at);
        let mut found = Vec::new();
        let mut tried = HashSet::new();
        let mut stack: Vec<Config> = self.configs.iter().cloned().collect();
        while let Some(mut config) = stack.pop() {
            self.take_reads(&mut config);
            if let Ok(index) = config.done.binary_search(&at) {
                // What else may have happened by now may as well happen later.
                config.done.remove(index);
                found.push(config);
                continue;
            }
            for next in self.nexts(&config, &near, &near_doubtful) {
                if !tried.contains(&next) {
                    tried.insert(next.clone());
                    stack.push(next);
                }
            }
        }
        if found.is_empty() {
            return Err(Box::new(self.violation(at, answered)));
        }
        self.open.retain(|open| *open != at);
        self.configs = undominated(found);
        Ok(())
    }

    /// A call that changes nothing and can take effect now may as well do so.
    fn take_reads(&self, config: &mut Config) {
        for at in &self.open {
            let step = &self.model.steps[*at];
            if step.is_read() && step.is_seen_in(&config.state) {
                insert(&mut config.done, *at);
            }
        }
    }

    /// The open and the doubtful calls that have to do with this one, by a key
    /// or by another call. All others may as well take effect after it.
    fn near(&self, at: usize) -> (Vec<usize>, Vec<usize>) {
        let mut keys: HashSet<usize> = self.model.steps[at].keys().into_iter().collect();
        loop {
            let before = keys.len();
            let touches = |other: &&usize| {
                **other == at || self.model.steps[**other].keys().iter().any(|it| keys.contains(it))
            };
            let open: Vec<usize> = self.open.iter().filter(touches).copied().collect();
            let doubtful: Vec<usize> = self.doubtful.iter().filter(touches).copied().collect();
            keys.extend(open.iter().chain(&doubtful).flat_map(|it| self.model.steps[*it].keys()));
            if keys.len() == before {
                return (open, doubtful);
            }
        }
    }

    /// What may be true after one more of these commits has taken effect.
    fn nexts(&self, config: &Config, open: &[usize], doubtful: &[usize]) -> Vec<Config> {
        let mut nexts = Vec::new();
        let mut next = |at: usize, doubtful: bool| {
            let step = &self.model.steps[at];
            let taken = if doubtful { &config.spent } else { &config.done };
            if step.is_read() || taken.binary_search(&at).is_ok() {
                return;
            }
            let Some(state) = step.after(&config.state) else { return };
            let mut next = Config { state, ..config.clone() };
            insert(if doubtful { &mut next.spent } else { &mut next.done }, at);
            nexts.push(next);
        };
        open.iter().for_each(|at| next(*at, false));
        doubtful.iter().for_each(|at| next(*at, true));
        nexts
    }

    fn violation(&self, at: usize, answered: usize) -> Violation {
        let meanwhile = self.open.iter().filter(|it| **it != at).chain(&self.doubtful);
        let mut possible: Vec<String> =
            self.configs.iter().map(|config| self.model.show(&config.state)).collect();
        possible.sort_unstable();
        possible.dedup();
        possible.truncate(SHOWN);
        Violation {
            answered,
            impossible: self.history[at].clone(),
            meanwhile: meanwhile.map(|it| self.history[*it].clone()).collect(),
            possible,
        }
    }
}

/// Of what differs only in the doubtful calls that took effect, those with the
/// fewest: what may still happen to others may happen to them too.
fn undominated(configs: Vec<Config>) -> HashSet<Config> {
    let mut alike: HashMap<(State, Vec<usize>), Vec<Vec<usize>>> = HashMap::new();
    for Config { state, done, spent } in configs {
        let least = alike.entry((state, done)).or_default();
        let within = |few: &[usize], many: &[usize]| {
            few.iter().all(|number| many.binary_search(number).is_ok())
        };
        if !least.iter().any(|other| within(other, &spent)) {
            least.retain(|other| !within(&spent, other));
            least.push(spent);
        }
    }
    let each = alike.into_iter().flat_map(|((state, done), least)| {
        least.into_iter().map(move |spent| Config {
            state: state.clone(),
            done: done.clone(),
            spent,
        })
    });
    each.collect()
}
