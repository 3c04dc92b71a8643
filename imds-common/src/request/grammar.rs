//! The automaton's table, built at compile time.

use super::TOKEN_PATH;

const TOKEN_NAME: &[u8] = b"x-aws-ec2-metadata-token";
const TTL_NAME: &[u8] = b"x-aws-ec2-metadata-token-ttl-seconds";
const FORWARDED_NAME: &[u8] = b"x-forwarded-for";
const CONNECTION_NAME: &[u8] = b"connection";
/// Fields that announce a body or want an interim answer: after such a request the connection ends.
const BODY_NAMES: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"expect", b"upgrade"];

const CLASSES: usize = 64;
const STATES: usize = 256;

// An entry of the table: the next state in the low byte, what the byte means above it.
const STATE_MASK: u32 = 0xff;
pub(super) const IN_HEAD: u32 = 8;
pub(super) const TARGET_FIRST: u32 = 9;
pub(super) const TARGET: u32 = 10;
pub(super) const TOKEN_COLON: u32 = 11;
pub(super) const TOKEN_FIRST: u32 = 12;
pub(super) const TOKEN: u32 = 13;
pub(super) const TTL_COLON: u32 = 14;
pub(super) const TTL_FIRST: u32 = 15;
pub(super) const TTL: u32 = 16;
pub(super) const GET: u32 = 17;
pub(super) const HEAD: u32 = 18;
pub(super) const PUT: u32 = 19;
pub(super) const OPTIONS: u32 = 20;
pub(super) const ON_TOKEN_PATH: u32 = 21;
pub(super) const HTTP_1_0: u32 = 22;
pub(super) const FORWARDED: u32 = 23;
pub(super) const BODY: u32 = 24;
pub(super) const CLOSE: u32 = 25;
pub(super) const COMPLETE: u32 = 26;
pub(super) const MALFORMED: u32 = 27;

// States that the builder names; the rest are nodes of words.
const S_MALFORMED: u8 = 0;
const S_START: u8 = 1;
const S_START_LF: u8 = 2;
const S_METHOD: u8 = 3;
const S_TARGET_FIRST: u8 = 4;
const S_TARGET: u8 = 5;
const S_VERSION: u8 = 6;
const S_VERSION_CR: u8 = 7;
const S_LINE_LF: u8 = 8;
const S_LINE: u8 = 9;
const S_END_LF: u8 = 10;
const S_DONE: u8 = 11;
const S_NAME: u8 = 12;
const S_VALUE: u8 = 13;
const S_TOKEN_BEFORE: u8 = 14;
const S_TOKEN: u8 = 15;
const S_TOKEN_AFTER: u8 = 16;
const S_TTL_BEFORE: u8 = 17;
const S_TTL: u8 = 18;
const S_TTL_AFTER: u8 = 19;
const S_CONNECTION: u8 = 20;
const S_CONNECTION_OTHER: u8 = 21;
const S_CLOSE_AFTER: u8 = 22;
const FIRST_WORD_STATE: u8 = 23;

const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

const fn is_vchar(byte: u8) -> bool {
    byte >= 0x21 && byte <= 0x7e
}

const fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

struct Builder {
    class: [u8; 256],
    classes: u8,
    /// One byte of each class, to ask the predicates about.
    sample: [u8; CLASSES],
    table: [[u32; CLASSES]; STATES],
    states: u8,
}

impl Builder {
    const fn new() -> Self {
        let mut builder = Self {
            class: [u8::MAX; 256],
            classes: 0,
            sample: [0; CLASSES],
            table: [[0; CLASSES]; STATES],
            states: FIRST_WORD_STATE,
        };
        builder.classify();
        builder
    }

    const fn add_class(&mut self, byte: u8) {
        if self.class[byte as usize] == u8::MAX {
            self.class[byte as usize] = self.classes;
            self.sample[self.classes as usize] = byte;
            self.classes += 1;
        }
    }

    const fn add_classes(&mut self, word: &[u8]) {
        let mut i = 0;
        while i < word.len() {
            self.add_class(word[i]);
            i += 1;
        }
    }

    const fn add_classes_of_name(&mut self, name: &[u8]) {
        let mut i = 0;
        while i < name.len() {
            self.add_class(name[i].to_ascii_lowercase());
            self.add_class(name[i].to_ascii_uppercase());
            i += 1;
        }
    }

    /// Gives each byte that some word needs a class of its own, and the others one for each kind.
    const fn classify(&mut self) {
        self.add_classes(b"\r\n \t:,HTTP/1.0GETHEADPUTOPTIONS");
        self.add_classes(TOKEN_PATH);
        self.add_classes_of_name(TTL_NAME);
        self.add_classes_of_name(FORWARDED_NAME);
        self.add_classes_of_name(CONNECTION_NAME);
        self.add_classes_of_name(b"close");
        let mut i = 0;
        while i < BODY_NAMES.len() {
            self.add_classes_of_name(BODY_NAMES[i]);
            i += 1;
        }
        let tchar = self.classes;
        self.sample[tchar as usize] = b'!';
        let vchar = tchar + 1;
        self.sample[vchar as usize] = b'"';
        let obs_text = tchar + 2;
        self.sample[obs_text as usize] = 0x80;
        let control = tchar + 3;
        self.sample[control as usize] = 0;
        self.classes = tchar + 4;
        let mut byte = 0;
        while byte < 256 {
            if self.class[byte] == u8::MAX {
                #[expect(clippy::cast_possible_truncation, reason = "below 256")]
                let b = byte as u8;
                self.class[byte] = if is_tchar(b) {
                    tchar
                } else if is_vchar(b) {
                    vchar
                } else if b >= 0x80 {
                    obs_text
                } else {
                    control
                };
            }
            byte += 1;
        }
    }

    const fn set(&mut self, state: u8, byte: u8, next: u8, bits: u32) {
        let class = self.class[byte as usize];
        self.table[state as usize][class as usize] = next as u32 | bits;
    }

    /// Fills a state: visible bytes, tchars, white space, obs-text each go where said, `None` = malformed.
    const fn fill(&mut self, state: u8, kinds: Kinds) {
        let mut class = 0;
        while class < self.classes as usize {
            let byte = self.sample[class];
            let target = if is_tchar(byte) {
                kinds.tchar
            } else if is_vchar(byte) {
                kinds.vchar
            } else if is_space(byte) {
                kinds.space
            } else if byte >= 0x80 {
                kinds.obs_text
            } else {
                None
            };
            self.table[state as usize][class] = match target {
                Some((next, bits)) => next as u32 | bits,
                None => S_MALFORMED as u32 | 1 << MALFORMED,
            };
            class += 1;
        }
    }

    /// A chain of states that spells `word` from `from`; where a byte differs, the state behaves as `template` does.
    /// Returns the last state. `any_case` takes letters of either case.
    const fn word(&mut self, from: u8, word: &[u8], template: u8, any_case: bool, bits: u32) -> u8 {
        let mut state = from;
        let mut i = 0;
        while i < word.len() {
            let class = self.class[word[i] as usize] as usize;
            let existing = (self.table[state as usize][class] & STATE_MASK) as u8;
            let next = if existing >= FIRST_WORD_STATE {
                existing
            } else {
                let next = self.states;
                self.states += 1;
                self.table[next as usize] = self.table[template as usize];
                next
            };
            self.set(state, word[i], next, bits);
            if any_case {
                self.set(state, word[i].to_ascii_lowercase(), next, bits);
                self.set(state, word[i].to_ascii_uppercase(), next, bits);
            }
            state = next;
            i += 1;
        }
        state
    }

    const fn field(&mut self, name: &[u8], value_state: u8, bits: u32) {
        let end = self.word(S_LINE, name, S_NAME, true, 0);
        self.set(end, b':', value_state, bits);
    }

    /// A value whose bytes are marked: `before` its first byte, `inside`, and in white space `after` some.
    const fn marked_value(&mut self, before: u8, inside: u8, after: u8, first: u32, mark: u32) {
        let start = Some((inside, 1 << first | 1 << mark));
        let more = Some((inside, 1 << mark));
        self.fill(before, Kinds { tchar: start, vchar: start, obs_text: start, space: Some((before, 0)) });
        self.fill(inside, Kinds { tchar: more, vchar: more, obs_text: more, space: Some((after, 0)) });
        self.fill(after, Kinds { tchar: more, vchar: more, obs_text: more, space: Some((after, 0)) });
        self.set(before, b'\r', S_LINE_LF, 0);
        self.set(inside, b'\r', S_LINE_LF, 0);
        self.set(after, b'\r', S_LINE_LF, 0);
    }

    const fn request_line(&mut self) {
        let method = Some((S_METHOD, 0));
        self.fill(S_START, Kinds { tchar: method, ..Kinds::NONE });
        self.set(S_START, b'\r', S_START_LF, 0);
        self.fill(S_START_LF, Kinds::NONE);
        self.set(S_START_LF, b'\n', S_START, 0);
        self.fill(S_METHOD, Kinds { tchar: method, ..Kinds::NONE });
        self.set(S_METHOD, b' ', S_TARGET_FIRST, 0);
        let methods: [(&[u8], u32); 4] = [(b"GET", GET), (b"HEAD", HEAD), (b"PUT", PUT), (b"OPTIONS", OPTIONS)];
        let mut i = 0;
        while i < methods.len() {
            let end = self.word(S_START, methods[i].0, S_METHOD, false, 0);
            self.set(end, b' ', S_TARGET_FIRST, 1 << methods[i].1);
            i += 1;
        }

        let first = Some((S_TARGET, 1 << TARGET_FIRST | 1 << TARGET));
        let more = Some((S_TARGET, 1 << TARGET));
        self.fill(S_TARGET_FIRST, Kinds { tchar: first, vchar: first, ..Kinds::NONE });
        self.fill(S_TARGET, Kinds { tchar: more, vchar: more, ..Kinds::NONE });
        self.set(S_TARGET, b' ', S_VERSION, 0);
        let (slash, rest) = TOKEN_PATH.split_at(1);
        let root = self.word(S_TARGET_FIRST, slash, S_TARGET, false, 1 << TARGET_FIRST | 1 << TARGET);
        let end = self.word(root, rest, S_TARGET, false, 1 << TARGET);
        self.set(end, b' ', S_VERSION, 1 << ON_TOKEN_PATH);

        // The word's states copy S_VERSION_CR as it is here, before it takes its CR: nothing but the word goes on.
        self.fill(S_VERSION, Kinds::NONE);
        self.fill(S_VERSION_CR, Kinds::NONE);
        let dot = self.word(S_VERSION, b"HTTP/1.", S_VERSION_CR, false, 0);
        self.set(dot, b'0', S_VERSION_CR, 1 << HTTP_1_0);
        self.set(dot, b'1', S_VERSION_CR, 0);
        self.set(S_VERSION_CR, b'\r', S_LINE_LF, 0);
    }

    const fn field_lines(&mut self) {
        self.fill(S_LINE_LF, Kinds::NONE);
        self.set(S_LINE_LF, b'\n', S_LINE, 0);
        let name = Some((S_NAME, 0));
        self.fill(S_LINE, Kinds { tchar: name, ..Kinds::NONE });
        self.set(S_LINE, b'\r', S_END_LF, 0);
        self.fill(S_END_LF, Kinds::NONE);
        self.set(S_END_LF, b'\n', S_DONE, 1 << COMPLETE);
        self.fill(S_NAME, Kinds { tchar: name, ..Kinds::NONE });
        self.set(S_NAME, b':', S_VALUE, 0);
        self.fill(S_VALUE, Kinds::all(S_VALUE));
        self.set(S_VALUE, b'\r', S_LINE_LF, 0);

        self.field(TOKEN_NAME, S_TOKEN_BEFORE, 1 << TOKEN_COLON);
        self.marked_value(S_TOKEN_BEFORE, S_TOKEN, S_TOKEN_AFTER, TOKEN_FIRST, TOKEN);
        self.field(TTL_NAME, S_TTL_BEFORE, 1 << TTL_COLON);
        self.marked_value(S_TTL_BEFORE, S_TTL, S_TTL_AFTER, TTL_FIRST, TTL);
        self.field(FORWARDED_NAME, S_VALUE, 1 << FORWARDED);
        let mut i = 0;
        while i < BODY_NAMES.len() {
            self.field(BODY_NAMES[i], S_VALUE, 1 << BODY);
            i += 1;
        }
        self.connection_options();
    }

    /// `Connection` is a list; `close` is one whole element of it.
    const fn connection_options(&mut self) {
        self.field(CONNECTION_NAME, S_CONNECTION, 0);
        self.fill(S_CONNECTION_OTHER, Kinds::all(S_CONNECTION_OTHER));
        self.set(S_CONNECTION_OTHER, b'\r', S_LINE_LF, 0);
        self.set(S_CONNECTION_OTHER, b',', S_CONNECTION, 0);
        self.fill(S_CONNECTION, Kinds { space: Some((S_CONNECTION, 0)), ..Kinds::all(S_CONNECTION_OTHER) });
        self.set(S_CONNECTION, b'\r', S_LINE_LF, 0);
        self.set(S_CONNECTION, b',', S_CONNECTION, 0);
        self.fill(S_CLOSE_AFTER, Kinds { space: Some((S_CLOSE_AFTER, 0)), ..Kinds::all(S_CONNECTION_OTHER) });
        self.set(S_CLOSE_AFTER, b'\r', S_LINE_LF, 1 << CLOSE);
        self.set(S_CLOSE_AFTER, b',', S_CONNECTION, 1 << CLOSE);
        let end = self.word(S_CONNECTION, b"close", S_CONNECTION_OTHER, true, 0);
        self.set(end, b'\r', S_LINE_LF, 1 << CLOSE);
        self.set(end, b',', S_CONNECTION, 1 << CLOSE);
        self.set(end, b' ', S_CLOSE_AFTER, 0);
        self.set(end, b'\t', S_CLOSE_AFTER, 0);
    }

    const fn build(mut self) -> Grammar {
        self.fill(S_MALFORMED, Kinds::NONE);
        self.request_line();
        self.field_lines();
        let mut grammar = Grammar { class: self.class, table: [0; STATES * CLASSES] };
        let mut state = 0;
        while state < self.states as usize {
            let mut class = 0;
            while class < CLASSES {
                let entry = self.table[state][class];
                let inside = if state == S_DONE as usize { 0 } else { 1 << IN_HEAD };
                grammar.table[state * CLASSES + class] = entry | inside;
                class += 1;
            }
            state += 1;
        }
        let mut class = 0;
        while class < CLASSES {
            grammar.table[S_DONE as usize * CLASSES + class] = S_DONE as u32;
            class += 1;
        }
        grammar
    }
}

/// Where the kinds of bytes lead from a state.
#[derive(Clone, Copy)]
struct Kinds {
    tchar: Option<(u8, u32)>,
    vchar: Option<(u8, u32)>,
    obs_text: Option<(u8, u32)>,
    space: Option<(u8, u32)>,
}

impl Kinds {
    const NONE: Self = Self { tchar: None, vchar: None, obs_text: None, space: None };

    const fn all(next: u8) -> Self {
        let next = Some((next, 0));
        Self { tchar: next, vchar: next, obs_text: next, space: next }
    }
}

struct Grammar {
    class: [u8; 256],
    table: [u32; STATES * CLASSES],
}

static GRAMMAR: Grammar = Builder::new().build();

/// The state before a head's first byte.
pub(super) const START: u32 = S_START as u32;

/// What `byte` means in the state that `entry` leads to: the next entry.
///
/// Both indices are masked to the size of what they index, so that neither the compiler nor the verifier needs a
/// bounds check.
#[inline(always)]
pub(super) fn next(entry: u32, byte: u8) -> u32 {
    let class = GRAMMAR.class[byte as usize] as usize & (CLASSES - 1);
    GRAMMAR.table[(entry & STATE_MASK) as usize * CLASSES + class]
}
