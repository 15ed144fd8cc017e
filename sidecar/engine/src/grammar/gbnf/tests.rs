//! Grammars in GBNF: which texts they take, and what is said of those that are none.

use super::super::{Grammar, Lead, Vocabulary};
use super::*;
use crate::request::Constraint;
use std::sync::Arc;

/// Of the kind that llama.cpp brings with it: any JSON.
const JSON: &str = r#"
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
"#;

/// Sums, their results, and line ends that white space could swallow.
const ARITHMETIC: &str = r#"
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
"#;

const LIST: &str = r#"
root ::= item+
# Excludes various line break characters
item ::= "- " [^\r\n\x0b\x0c\x85\u2028\u2029]+ "\n"
"#;

const CHESS: &str = r#"
root    ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move    ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn    ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle  ::= "O-O" "-O"?
"#;

const C: &str = r#"
root        ::= function+
function    ::= type " " name "(" (type " " name)? ")" block
block       ::= "{" ws statement* "}" ws
type        ::= "int" | "float"
name        ::= [a-zA-Z_] [a-zA-Z_0-9]*
statement   ::=
    ( type " " name " = " sum ";" ws ) |
    ( name " = " sum ";" ws ) |
    ( "return " sum ";" ws ) |
    ( "while (" sum [<>] sum ")" ws block ) |
    ( "//" [^\n]* "\n" ws )
sum         ::= product (" " [-+] " " product)*
product     ::= factor ("*" factor)*
factor      ::= name | [0-9]+ | name "(" (sum ("," sum)*)? ")" | "(" sum ")"
ws          ::= [ \t\n]*
"#;

/// Every byte a token, and one that ends the text.
fn bytewise() -> Arc<Vocabulary> {
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    tokens.push(b"<eos>".to_vec());
    let special: Vec<bool> = (0..tokens.len()).map(|id| id > 255).collect();
    Vocabulary::new(tokens, &special, &[256]).unwrap()
}

/// Whether a grammar takes each text; `Err` with the place where a text fits no more.
fn taken(gbnf: &str, texts: &[&str]) -> Vec<Result<bool, usize>> {
    let vocabulary = bytewise();
    let one = |text: &&str| {
        let constraint = Constraint::Gbnf(gbnf.to_owned());
        let mut grammar = Grammar::compile(&vocabulary, &constraint, Lead::NONE).unwrap();
        for (at, byte) in text.bytes().enumerate() {
            let mut logits = vec![0.0; 257];
            grammar.mask(&mut logits).unwrap();
            if logits[usize::from(byte)] != 0.0 {
                return Err(at);
            }
            grammar.accept(u32::from(byte)).unwrap();
        }
        Ok(grammar.is_complete())
    };
    texts.iter().map(one).collect()
}

fn check(gbnf: &str, fits: &[&str], does_not: &[&str]) {
    for (text, taken) in fits.iter().zip(taken(gbnf, fits)) {
        assert_eq!(taken, Ok(true), "{text:?} fits\n{}", to_lark(gbnf).unwrap());
    }
    for (text, taken) in does_not.iter().zip(taken(gbnf, does_not)) {
        assert_ne!(taken, Ok(true), "{text:?} does not fit\n{}", to_lark(gbnf).unwrap());
    }
}

#[test]
fn grammars_of_the_kind_that_llama_cpp_brings() {
    check(
        JSON,
        &["{}", r#"{"a": [1, -2.5e3, "x\n\u00e9 ☃", {"b": null}], "c":true}"#, "{\n  \"a\": 1}\n", "{ }"],
        &["", "[]", "{", r#"{"a" 1}"#, r#"{"a":1,}"#, r#"{"a":01}"#, "{\"a\":\"\n\"}", r#"{"a":"\q"}"#, "{}x"],
    );
    check(
        ARITHMETIC,
        &["x=1\n", "x +1 = y\n", "(a1 *(b))-3=c \n\na=b\n", "1 = \n 2 \n"],
        &["x=1", "x + 1=y\n", "=1\n", "x+=1\n", "(x=1\n", "x=1)\n"],
    );
    check(LIST, &["- a\n", "- a - b\n- ☃\n"], &["", "- \n", "- a", "a\n", "- a\u{2028}\n"]);
    check(
        CHESS,
        &["1. e4 e5\n2. Nf3 Nc6\n", "1. d4 d5\n12. O-O-O+ exd8=Q#\n"],
        &["1. e4 e5\n", "1. e9 e5\n2. a3 a6\n"],
    );
    check(
        C,
        &[
            "int main(){ return 0; }",
            "float f(int a){\n  int b = a*(2 + g(a,1));\n  // int\n  while (b<3) { b = b - 1; }\n  return b;\n}\n",
            "int intx(){int integer = 1; returned = 2; }",
        ],
        &["main(){}", "int main(){ return; }", "int 1(){}", "int f(){ int a = ; }", "int f(){"],
    );
}

#[test]
fn every_word_of_the_notation() {
    check("root ::= \"a\\x41\\u00e9\\U0001F600\\t\\r\\n\\\\\\\"\\[\\]\"", &["aAé😀\t\r\n\\\"[]"], &["aA"]);
    check("root ::= [a-c-] [^a-c\\]] [\\x30-\\x39]", &["-d7", "b-0"], &["dd7", "aa7", "a]7", "add"]);
    check("root ::= . .", &["☃\n", "ab"], &["☃", "abc"]);
    check(
        "root ::= \"a\"* \"b\"+ \"c\"? \"d\"{2} \"e\"{1,} \"f\"{0,2}",
        &["bdde", "aabbcddeeff"],
        &["dde", "bde", "bddefff"],
    );
    check("root ::= (\"a\" | \"b\" (\"c\" |\n \"d\")) # end\n\n", &["a", "bc", "bd"], &["b", "ac"]);
    check("root ::= x-1\nx-1 ::= \"\" | \"y\"", &["", "y"], &["yy"]);
    check("root ::= \"a\" root \"b\" |", &["", "ab", "aaabbb"], &["aab", "ba"]);
    check("root ::= root \"a\" | \"b\"", &["b", "baa"], &["a", "ab"]);
    check("root ::= \"x\"{0} \"y\"", &["y"], &["xy"]);
}

#[test]
fn greed_loses_no_text() {
    // A letter could belong to the word or follow it; the end could belong to what is before it.
    check("root ::= \"(\" root \")\" | [a-z]+ \"x\" \"!\"", &["ax!", "((xxx!))"], &["a!", "x!", "(ax!"]);
    check("root ::= \"(\" root \")\" | .* \"END\"", &["END", "(a END END)", "ENDEND"], &["EN", "(a)"]);
    check("root ::= \"[\" root \"]\" | \"a\" \"ab\" | \"aa\" \"c\"", &["aab", "[aac]"], &["aa", "aabc"]);
    check(
        "root ::= \"/*\" ([^*] | \"*\" [^/])* \"*/\" root? \"x\"",
        &["/**/x", "/* a * b */x", "/**//***c*//**/xxx"],
        &["/**x"],
    );
}

#[test]
fn what_is_no_gbnf_is_said_with_its_place() {
    let problem = |text: &str| match to_lark(text) {
        Err(EngineError::InvalidConstraint { detail }) => detail,
        other => panic!("{text}: {other:?}"),
    };
    for (text, wanted) in [
        ("", "line 1, column 1: there is no rule 'root'"),
        ("a ::= \"x\"\n", "line 2, column 1: there is no rule 'root'"),
        ("root ::= \"x\n", "line 2, column 1: '\"' is expected"),
        ("root ::= [a", "line 1, column 12: ']' is expected"),
        ("root ::= ([a]\n\nb ::= \"x\"", "line 3, column 3: ')' is expected"),
        ("root ::=\n  other", "line 2, column 3: the rule 'other' is not defined"),
        ("root = \"x\"", "line 1, column 6: a rule's name is followed by '::='"),
        ("root ::= \"x\" ) y", "line 1, column 14: a rule ends with its line"),
        ("root ::= \"\\q\"", "line 1, column 11: the escapes are"),
        ("root ::= \"\\xg0\"", "line 1, column 13: 2 hexadecimal digits are expected"),
        ("root ::= \"\\ud800\"", "line 1, column 11: there is no character of this number"),
        ("root ::= [b-a]", "line 1, column 10: no character fits this class"),
        ("root ::= \"a\"{3,2}", "line 1, column 13: the second number is less than the first"),
        ("root ::= \"a\"{2001}", "line 1, column 14: more than 2000 repetitions"),
        ("root ::= \"a\"{,2}", "line 1, column 14: a number is expected"),
        ("root ::= * \"a\"", "line 1, column 10: there is nothing to repeat"),
        ("root ::= <think>", "line 1, column 10: tokens are not supported"),
        ("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule 'root' is defined twice"),
        ("%", "line 1, column 1: a rule's name is expected"),
    ] {
        assert!(problem(text).starts_with(&format!("GBNF, {wanted}")), "{text}: {}", problem(text));
    }
    let deep = |n: usize| format!("root ::= {}\"a\"{}", "(".repeat(n), ")".repeat(n));
    assert!(to_lark(&deep(DEPTH_MAX)).is_ok() && problem(&deep(DEPTH_MAX + 1)).contains("deep"));
    assert!(to_lark(&format!("root ::= \"{}\"", "a".repeat(NODES_MAX - 1))).is_ok());
    assert!(problem(&format!("root ::= \"{}\"", "a".repeat(NODES_MAX))).contains("parts"));
    assert!(to_lark("root ::= \"a\"{2000}").is_ok());
}

#[test]
fn hostile_grammars_end_soon() {
    let vocabulary = bytewise();
    let doubling: String = (0..60).map(|i| format!("r{i} ::= r{} r{}\n", i + 1, i + 1)).collect();
    let many: String = (0..1_500).map(|i| format!("r{i} ::= \"{i}\" root | [a-z]+ root\n")).collect();
    let all: Vec<String> = (0..1_500).map(|i| format!("r{i}")).collect();
    let chain: String = (0..9_000).map(|i| format!("r{i} ::= r{}\n", i + 1)).collect();
    for (what, text) in [
        ("doubling nothing", format!("root ::= r0 root | \"x\"\n{doubling}r60 ::= \"\"")),
        ("doubling something", format!("root ::= r0 root | \"x\"\n{doubling}r60 ::= \"y\"")),
        ("doubling alone", format!("root ::= r0\n{doubling}r60 ::= \"y\"?")),
        ("many lexemes", format!("root ::= {}\n{many}", all.join(" | "))),
        ("a chain", format!("root ::= r0\n{chain}r9000 ::= \"a\"")),
        ("a chain in a circle", format!("root ::= r0\n{chain}r9000 ::= root")),
        ("names in a circle", "root ::= a\na ::= root".into()),
        ("repetitions", "root ::= (((\"a\"{2000}){2000}){2000}){2000}".into()),
        ("repetitions within", "root ::= \"(\" root \")\" | ((\"a\"{0,2000}){0,2000}){0,2000} [a-b]*".into()),
        ("nothing for ever", "root ::= (\"\"*)* root?".into()),
    ] {
        let began = std::time::Instant::now();
        let compiled = Grammar::compile(&vocabulary, &Constraint::Gbnf(text), Lead::NONE);
        if let Err(error) = &compiled {
            assert_eq!(error.code(), "invalid_constraint", "{what}");
        }
        assert!(began.elapsed().as_secs() < 30, "{what}: {:?}", began.elapsed());
    }
}
