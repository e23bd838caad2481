//! Natural language of a text: by script, then by frequent words and letters, then by trigrams.
//!
//! Scripts of one language settle the matter at once. Latin text is a vote of its words over a
//! small table; only where the vote is close are trigrams asked (`whatlang`), which are slower and,
//! on texts of a sentence or more, less often right (docs/measurements/2026-11-20-markers.md).

mod words;

use std::collections::HashMap;
use whatlang::Lang;
use words::LATIN;

/// Letters looked at; a longer text does not get easier.
const LETTERS_READ: usize = 4000;

/// A vote counts if the winner leads by this share of its score.
const LEAD: f64 = 0.3;

/// A vote counts if the winner has at least this score.
const LEAST_SCORE: f64 = 2.0;

/// A language and how sure the detector is, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detected {
    /// Its English name, as in the taxonomy. Scripts beyond the taxonomy have names too (`Thai`).
    pub language: &'static str,
    /// Share of the evidence that speaks for it.
    pub confidence: f64,
}

/// Tells languages apart; made once, shared by all threads.
#[derive(Debug)]
pub struct Detector {
    /// Word → for each row of [`LATIN`], a bit.
    words: HashMap<&'static str, u32>,
    /// Letter → for each row of [`LATIN`], a bit.
    letters: HashMap<char, u32>,
    trigrams: whatlang::Detector,
}

/// Scripts, and the language where there is one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Latin,
    Cyrillic,
    Arabic,
    Han,
    Kana,
    One(&'static str),
}

/// First and last letter of the blocks of a script. Ideographs weigh as much as a short word.
#[rustfmt::skip]
const BLOCKS: &[(u32, u32, Script)] = &[
    (0x41, 0x24F, Script::Latin), (0x370, 0x3FF, Script::One("Greek")),
    (0x400, 0x52F, Script::Cyrillic), (0x531, 0x58F, Script::One("Armenian")),
    (0x590, 0x5FF, Script::One("Hebrew")), (0x600, 0x6FF, Script::Arabic),
    (0x900, 0x97F, Script::One("Hindi")), (0x980, 0x9FF, Script::One("Bengali")),
    (0xA00, 0xA7F, Script::One("Punjabi")), (0xA80, 0xAFF, Script::One("Gujarati")),
    (0xB80, 0xBFF, Script::One("Tamil")), (0xC00, 0xC7F, Script::One("Telugu")),
    (0xC80, 0xCFF, Script::One("Kannada")), (0xD00, 0xD7F, Script::One("Malayalam")),
    (0xD80, 0xDFF, Script::One("Sinhala")), (0xE00, 0xE7F, Script::One("Thai")),
    (0xE80, 0xEFF, Script::One("Lao")), (0x1000, 0x109F, Script::One("Burmese")),
    (0x10A0, 0x10FF, Script::One("Georgian")), (0x1100, 0x11FF, Script::One("Korean")),
    (0x1200, 0x137F, Script::One("Amharic")), (0x1780, 0x17FF, Script::One("Khmer")),
    (0x1E00, 0x1EFF, Script::Latin), (0x1F00, 0x1FFF, Script::One("Greek")),
    (0x3040, 0x30FF, Script::Kana), (0x3400, 0x4DBF, Script::Han), (0x4E00, 0x9FFF, Script::Han),
    (0xAC00, 0xD7AF, Script::One("Korean")), (0xFB1D, 0xFB4F, Script::One("Hebrew")),
    (0xFB50, 0xFDFF, Script::Arabic), (0xFE70, 0xFEFF, Script::Arabic),
    (0xFF66, 0xFF9D, Script::Kana),
];

fn script(letter: char) -> Option<usize> {
    let code = u32::from(letter);
    let block = BLOCKS.partition_point(|(_, last, _)| *last < code);
    let found = BLOCKS.get(block).is_some_and(|(first, ..)| *first <= code);
    (found && letter.is_alphabetic()).then_some(block)
}

impl Default for Detector {
    fn default() -> Self {
        Detector::new()
    }
}

impl Detector {
    /// A detector of the languages of the taxonomy.
    pub fn new() -> Self {
        let mut words = HashMap::new();
        let mut letters = HashMap::new();
        for (row, latin) in LATIN.iter().enumerate() {
            for word in latin.words.split(' ') {
                *words.entry(word).or_insert(0) |= 1 << row;
            }
            for letter in latin.letters.chars() {
                *letters.entry(letter).or_insert(0) |= 1 << row;
            }
        }
        let trigrams = whatlang::Detector::with_allowlist(TRIGRAMS.map(|(lang, _)| lang).to_vec());
        Detector { words, letters, trigrams }
    }

    /// The language of a text; `None` where no letter tells.
    pub fn detect(&self, text: &str) -> Option<Detected> {
        let mut weights = [0usize; BLOCKS.len()];
        let mut read = 0;
        let mut end = text.len();
        for (at, letter) in text.char_indices() {
            let Some(block) = script(letter) else { continue };
            let ideographic = matches!(BLOCKS[block].2, Script::Han | Script::Kana)
                || BLOCKS[block].2 == Script::One("Korean");
            weights[block] += if ideographic { 3 } else { 1 };
            read += 1;
            if read == LETTERS_READ {
                end = at + letter.len_utf8();
                break;
            }
        }
        let of = |wanted: Script| -> usize {
            let rows = BLOCKS.iter().zip(&weights);
            rows.filter(|((.., script), _)| *script == wanted).map(|(_, weight)| weight).sum()
        };
        let total: usize = weights.iter().sum();
        let (kana, han) = (of(Script::Kana), of(Script::Han));
        let mut best = (Script::Latin, of(Script::Latin));
        let shares = BLOCKS.iter().map(|(.., script)| match script {
            Script::Kana | Script::Han => (*script, kana + han),
            other => (*other, of(*other)),
        });
        for (script, weight) in shares {
            if weight > best.1 {
                best = (script, weight);
            }
        }
        let share = best.1 as f64 / total.max(1) as f64;
        let sure = |language| Some(Detected { language, confidence: share });
        let text = &text[..end];
        match best {
            (_, 0) => None,
            (Script::One(language), _) => sure(language),
            // Japanese prose is a third kana at the least; a name in Chinese text is not.
            (Script::Han | Script::Kana, both) => {
                sure(if kana * 12 > both { "Japanese" } else { "Chinese" })
            }
            (Script::Cyrillic, _) => {
                by_letters(text, CYRILLIC).and_then(sure).or_else(|| self.ask(text))
            }
            (Script::Arabic, _) => {
                by_letters(text, ARABIC).and_then(sure).or_else(|| self.ask(text))
            }
            (Script::Latin, _) => self.vote(text).or_else(|| self.ask(text)),
        }
    }

    /// A vote of words and letters over [`LATIN`]; `None` where it is close.
    fn vote(&self, text: &str) -> Option<Detected> {
        let mut scores = [0.0f64; LATIN.len()];
        let mut cast = |bits: u32, weight: f64| {
            let weight = weight / f64::from(bits.count_ones().max(1));
            for (row, score) in scores.iter_mut().enumerate() {
                *score += if bits >> row & 1 == 1 { weight } else { 0.0 };
            }
        };
        let mut word = String::new();
        for letter in text.chars().chain([' ']) {
            if letter.is_alphabetic() || (matches!(letter, '\'' | '’' | '-') && !word.is_empty())
            {
                word.extend(letter.to_lowercase());
                let bits = self.letters.get(&letter).copied().unwrap_or(0);
                cast(bits, 0.6);
                continue;
            }
            let bits = self.words.get(word.as_str()).copied().unwrap_or(0);
            cast(bits, 1.0);
            word.clear();
            cast(self.letters.get(&letter).copied().unwrap_or(0), 0.6);
        }
        let mut order: Vec<usize> = (0..LATIN.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let (best, second) = (scores[order[0]], scores[order[1]]);
        let total: f64 = scores.iter().sum();
        let clear = best >= LEAST_SCORE && second <= best * (1.0 - LEAD);
        let language = LATIN[order[0]].name;
        clear.then(|| Detected { language, confidence: best / total })
    }

    fn ask(&self, text: &str) -> Option<Detected> {
        let end = text.char_indices().nth(600).map_or(text.len(), |(at, _)| at);
        let found = self.trigrams.detect(&text[..end])?;
        let row = TRIGRAMS.iter().find(|(lang, _)| *lang == found.lang())?;
        Some(Detected { language: row.1, confidence: found.confidence() })
    }
}

/// What trigrams choose from.
#[rustfmt::skip]
const TRIGRAMS: [(Lang, &str); 17] = [
    (Lang::Eng, "English"), (Lang::Fra, "French"), (Lang::Spa, "Spanish"), (Lang::Ita, "Italian"),
    (Lang::Deu, "German"), (Lang::Por, "Portuguese"), (Lang::Pol, "Polish"), (Lang::Tur, "Turkish"),
    (Lang::Vie, "Vietnamese"), (Lang::Nld, "Dutch"), (Lang::Ces, "Czech"), (Lang::Ind, "Indonesian"),
    (Lang::Ron, "Romanian"), (Lang::Rus, "Russian"), (Lang::Ukr, "Ukrainian"), (Lang::Ara, "Arabic"),
    (Lang::Pes, "Persian"),
];

/// A language and the letters by which it is told from another of its script.
type Letters = (&'static str, &'static str);

const CYRILLIC: [Letters; 2] = [("Ukrainian", "іїєґІЇЄҐ"), ("Russian", "ыэёъЫЭЁЪ")];
const ARABIC: [Letters; 2] = [("Persian", "پچژگکی"), ("Arabic", "ةىيكأإؤ")];

/// The one of two languages that has more letters which the other lacks; `None` where none has.
fn by_letters(text: &str, [one, other]: [Letters; 2]) -> Option<&'static str> {
    let count = |letters: &str| text.chars().filter(|letter| letters.contains(*letter)).count();
    match count(one.1).cmp(&count(other.1)) {
        std::cmp::Ordering::Greater => Some(one.0),
        std::cmp::Ordering::Less => Some(other.0),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Taxonomy;

    /// Sentences of our own, one a language of the taxonomy.
    #[rustfmt::skip]
    const SENTENCES: &[(&str, &str)] = &[
        ("English", "The ferry leaves when the tide is high, so do not be late."),
        ("French", "Le bac part quand la mer est haute, alors ne soyez pas en retard."),
        ("Spanish", "El barco sale cuando sube la marea, así que no llegues tarde."),
        ("Italian", "Il traghetto parte quando sale la marea, quindi non fare tardi."),
        ("German", "Die Fähre legt ab, wenn das Wasser hoch steht, also komm nicht zu spät."),
        ("Portuguese", "A balsa sai quando a maré sobe, por isso não chegue atrasado."),
        ("Japanese", "満潮になると船が出るので、遅れないでください。"),
        ("Korean", "물이 차면 배가 떠나니 늦지 마세요."),
        ("Arabic", "تغادر العبارة عندما يرتفع المد، فلا تتأخر."),
        ("Chinese", "涨潮时渡船就会开走，所以不要迟到。"),
        ("Russian", "Паром уходит, когда вода высокая, поэтому не опаздывайте, это важно."),
        ("Polish", "Prom odpływa, kiedy woda jest wysoka, więc nie spóźnij się."),
        ("Turkish", "Feribot sular yükseldiğinde kalkıyor, bu yüzden geç kalma."),
        ("Vietnamese", "Phà sẽ rời bến khi nước lên, vì vậy đừng đến muộn."),
        ("Dutch", "De veerboot vertrekt als het water hoog staat, dus kom niet te laat."),
        ("Czech", "Přívoz odplouvá, když je voda vysoko, tak nechoďte pozdě."),
        ("Indonesian", "Kapal itu berangkat ketika air pasang, jadi jangan sampai terlambat."),
        ("Ukrainian", "Пором відходить, коли вода висока, тож не запізнюйтеся."),
        ("Romanian", "Bacul pleacă atunci când apa este mare, deci nu întârzia."),
        ("Greek", "Το πλοίο φεύγει όταν ανεβαίνει η παλίρροια, γι' αυτό μην αργήσεις."),
        ("Hindi", "ज्वार आने पर नाव चल देती है, इसलिए देर मत करना।"),
        ("Hebrew", "המעבורת יוצאת כשהגאות עולה, אז אל תאחרו."),
        ("Persian", "قایق هنگام بالا آمدن آب حرکت می‌کند، پس دیر نکنید."),
    ];

    #[test]
    fn every_language_of_the_taxonomy_is_told() {
        let detector = Detector::new();
        for (language, sentence) in SENTENCES {
            let found = detector.detect(sentence).unwrap();
            assert_eq!(found.language, *language, "{sentence}");
            assert!(found.confidence > 0.3, "{sentence}: {}", found.confidence);
        }
        let taxonomy = Taxonomy::built_in();
        for value in &taxonomy.marker("lang").unwrap().values {
            assert!(SENTENCES.iter().any(|(language, _)| language == value), "{value}");
        }
    }

    #[test]
    fn no_letters_no_language_and_other_scripts_keep_their_names() {
        let detector = Detector::new();
        assert_eq!(detector.detect("123 — !?"), None);
        assert_eq!(detector.detect("น้ำขึ้นให้รีบตัก").unwrap().language, "Thai");
        assert_eq!(detector.detect("这个函数叫 print，用来打印。").unwrap().language, "Chinese");
    }

    #[test]
    fn blocks_are_sorted_and_apart() {
        assert!(BLOCKS.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert!(BLOCKS.iter().all(|(first, last, _)| first <= last));
        assert!(LATIN.len() <= 32, "rows are bits of a u32");
    }
}
