//! Measures recipes on the tables that `tables/tables.py` writes: `recipes FOLDER choose|held_out [RECIPE ...]`.
//!
//! A recipe is TOML in one line, with `;` between settings, as of `downhill train --config`; the empty one has the defaults.
//! The score is accuracy for classes and R² for numbers, on rows that nothing was learnt from, as the mean over splits.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use downhill_cli::judge::Judge;
use downhill_cli::learn::learn;
use downhill_cli::look::look;
use downhill_cli::recipe::Recipe;
use downhill_cli::search::search;
use downhill_cli::session::Session;
use downhill_cli::settings::Settings;
use downhill_data::Table;

fn score(folder: &Path, name: &str, text: &str) -> Result<f64, Box<dyn Error>> {
    let part = |half: &str| Table::read_path(folder.join(format!("{name}.{half}.csv")));
    let (train, test) = (part("train")?, part("test")?);
    let settings = Settings::parse(&text.replace(';', "\n"))?;
    let settings = Settings { target: Some("target".into()), ..settings };
    let findings = look(&train, &settings)?;
    let session = Session::new();
    let recipe = Recipe::choose(&settings, findings.task, train.len())?;
    let (recipe, tried) = search(&train, &findings, &settings, recipe, &mut |_| (), &session)?;
    if std::env::var_os("SHOW").is_some() {
        eprintln!("{name}: {tried:?}");
    }
    let learnt = learn(&train, &findings, &recipe, &mut |_| (), &session)?;
    let mut judge = Judge::new(&learnt.model)?;
    judge.add(&test)?;
    Ok(judge.verdict().main().ok_or("no measure is defined")?.value)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, part, recipes @ ..] = arguments.as_slice() else {
        return Err("usage: recipes FOLDER choose|held_out [RECIPE ...]".into());
    };
    let recipes = if recipes.is_empty() { vec![String::new()] } else { recipes.to_vec() };
    let folder = Path::new(folder).join(part);
    let mut splits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(&folder)? {
        let file = entry?.file_name().into_string().map_err(|_| "a file's name is no text")?;
        if let Some(name) = file.strip_suffix(".train.csv") {
            let (table, _) = name.rsplit_once('.').ok_or("a table's name has no split")?;
            splits.entry(table.to_owned()).or_default().push(name.to_owned());
        }
    }
    let mut totals = vec![0.0; recipes.len()];
    for (table, names) in &splits {
        let mut line = format!("{table:<16}");
        for (recipe, total) in recipes.iter().zip(&mut totals) {
            let scores = names.iter().map(|name| score(&folder, name, recipe)).collect::<Result<Vec<_>, _>>()?;
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            *total += mean;
            line += &format!("  {mean:.4}");
        }
        println!("{line}");
    }
    println!();
    for (recipe, total) in recipes.iter().zip(&totals) {
        println!("{:.4}  {}", total / splits.len() as f64, if recipe.is_empty() { "(defaults)" } else { recipe });
    }
    Ok(())
}
