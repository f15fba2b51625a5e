// The requests, with where each comes from.
//
// `first` and `hidden` are names that only this request could register. `taken` says which of them loiter has registered afterwards. `why` says
// what for loiter alone takes one of them; without a reason it must not.
//
// The sources: "Garden S3" is the third of the server bugs in the HTTP Garden's list (github.com/narfindustries/http-garden, TROPHIES.md), "T3"
// of the bugs of proxies there; "llhttp" is what its request tests are about (github.com/nodejs/llhttp, test/request); "desync" is PortSwigger's
// research ("HTTP Desync Attacks", "HTTP/1.1 must die"); numbers of sections are of RFC 9112. All bytes here are our own.

const all = [];
let source = '';

function from(name) {
  source = name;
}

function add(name, taken, bytes, why) {
  all.push({ from: source, name, taken, bytes, why });
}

const target = (name) => `/register/?username=${name}&password=pw`;
const form = (name) => `username=${name}&password=pw`;
/** A whole request, which registers whom it names. */
const whole = (name) => `POST ${target(name)} HTTP/1.1\r\nHost: h\r\n\r\n`;
/** A request with these field lines, and what stands behind its head. */
const post = (name, fields, rest = '') => `POST ${target(name)} HTTP/1.1\r\nHost: h\r\n${fields}\r\n\r\n${rest}`;
/** A chunk of a body, and a body's end. */
const chunk = (data) => `${data.length.toString(16)}\r\n${data}\r\n`;
const LAST = '0\r\n\r\n';

/** The first's fields say nothing of a body to loiter, or something that it refuses; the hidden one stands right behind. */
function behind(name, taken, fields, between = '') {
  add(name, taken, ({ first, hidden }) => post(first, fields, between + whole(hidden)));
}

/** In chunks, with a form in the body that names whom to register; the hidden one stands behind. */
function inChunks(name, taken, body) {
  add(name, taken, ({ first, hidden }) => {
    const fields = 'Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked';
    return `POST /register/ HTTP/1.1\r\nHost: h\r\n${fields}\r\n\r\n${body(form(first))}${whole(hidden)}`;
  });
}

/** The request line and the fields as they stand, with a whole request behind. */
function head(name, taken, text, why) {
  add(name, taken, ({ first, hidden }) => text(target(first)) + whole(hidden), why);
}

const BOTH = 'first hidden';
const NONE = '';

from('itself');
// Else all that follows would prove nothing: both are taken where both are good.
behind('two good requests', BOTH, 'A: b');
inChunks('two good requests, the first in chunks', BOTH, (body) => chunk(body.slice(0, 5)) + chunk(body.slice(5)) + LAST);
add('a good one in the body of a good one', 'first', ({ first, hidden }) =>
  post(first, `Content-Length: ${whole(hidden).length}`, whole(hidden)));
add('a good one in a chunk', 'first', ({ first, hidden }) => post(first, 'Transfer-Encoding: chunked', chunk(whole(hidden)) + LAST));

from('6.3, desync');
add('CL.TE', NONE, ({ first, hidden }) =>
  post(first, `Content-Length: ${(LAST + whole(hidden)).length}\r\nTransfer-Encoding: chunked`, LAST + whole(hidden)));
add('TE.CL', NONE, ({ first, hidden }) => post(first, 'Transfer-Encoding: chunked\r\nContent-Length: 4', chunk(whole(hidden)) + LAST));
behind('CL.0', BOTH, 'Content-Length: 0');
behind('TE.0', BOTH, 'Transfer-Encoding: chunked', LAST);
add('0.CL', 'first', ({ first, hidden }) => {
  const rest = whole(hidden);
  return `POST ${target(first)} HTTP/1.1\r\nContent-Length: ${rest.length}\r\nHost: h\r\n\r\n${rest}`;
});
behind('TE with a Content-Length of nothing', NONE, 'Transfer-Encoding: chunked\r\nContent-Length: 0', LAST);
behind('an empty coding beside a length', NONE, 'Transfer-Encoding:\r\nContent-Length: 0');
for (const coding of ['xchunked', 'chunkedx', 'chunked;', 'chunked;a=b', '"chunked"', ',chunked', 'chunked,', 'chunked, chunked', 'identity', 'gzip',
  'gzip, chunked', 'chunked, gzip', 'identity, chunked', 'chunked identity', 'pigeons', 'ch\u00fcnked', '\u00a0chunked', 'chunked\u00a0', '\u0085chunked',
  '\u00ffchunked\u00ff', '\u000bchunked', 'chunked\u000c', '\0chunked', 'chunked\0', '\rchunked', 'chunked\r', 'chunKed\u212a'.slice(0, 7) + '\u0001']) {
  behind(`the coding ${JSON.stringify(coding)}`, NONE, `Transfer-Encoding: ${coding}`, LAST);
}
behind('CHUNKED is chunked', BOTH, 'Transfer-Encoding: CHUNKED', LAST);
for (const [name, before, after] of [['spaces', '  ', '  '], ['a tab', '\t', ''], ['a tab and a space', '\t ', ''], ['a space and a tab', ' \t', ''], ['nothing and a space', '', ' '], ['nothing and a tab', '', '\t']]) {
  const taken = (before + after).includes('\t') ? NONE : BOTH;
  behind(`${name} around chunked`, taken, `Transfer-Encoding:${before}chunked${after}`, LAST);
  behind(`${name} around a length`, taken, `Content-Length:${before}0${after}`);
}

from('Garden S11, T25, llhttp');
behind('chunked in two fields', NONE, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', LAST);
behind('chunked and then identity', NONE, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', LAST);
behind('identity and then chunked', NONE, 'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', LAST);
behind('gzip and then chunked', NONE, 'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked', LAST);
behind('nothing and then chunked', NONE, 'Transfer-Encoding:\r\nTransfer-Encoding: chunked', LAST);

from('6.1');
add('chunked in HTTP/1.0', NONE, ({ first, hidden }) =>
  `POST ${target(first)} HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${LAST}${whole(hidden)}`);

from('Garden S1, S10, S16, S26, S29, S32, S38, T1, llhttp');
for (const length of ['+0', '-0', '-1', '0x0', '0_0', '0 0', '0,0', '0, 0', '0;', '0a', '1Z', '', ' ', '00000000000000000000 0', '0.0', '0e0', '"0"', '\u00a00', '0\u0085',
  '0\0', '\u000b0', '0\r', '18446744073709551616', '-18446744073709551616', '1000000000000000000000', '\u0660', 'NaN']) {
  behind(`the length ${JSON.stringify(length)}`, NONE, `Content-Length: ${length}`);
}
behind('a length with zeros before it', BOTH, 'Content-Length: 00000000000000000000000');
add('a length with zeros is no octal number', 'first hidden', ({ first, hidden }) => post(first, 'Content-Length: 010', '0123456789' + whole(hidden)));

from('Garden S23, S33, S42, T11, T22, llhttp');
for (const [one, other] of [['0', '5'], ['5', '0'], ['', '0'], ['0', ''], ['0', '0']]) {
  behind(`the lengths ${one || 'nothing'} and ${other || 'nothing'}`, NONE, `Content-Length: ${one}\r\nContent-Length: ${other}`);
}

from('Garden S3, S4, S14, S18, S20, S28, T6, T14, llhttp');
for (const line of ['Content-Length : 0', 'Content-Length\t: 0', ' Content-Length: 0', '\tContent-Length: 0', 'Content-Length\u0085: 0', 'Content-Length\u00a0: 0',
  'Content-Length\0: 0', 'Content-Length\r: 0', 'Content Length: 0', 'Content\rLength: 0', 'Content-Length 0', 'Content-Length', ': 0', ':', 'A\u00e9: b',
  '\u00ffA: b', 'A(b): c', 'A@b: c', 'A/b: c', '"A": b', '{A}: b', 'A,B: c', 'A;B: c', 'A=B: c', 'A\\B: c', 'A?B: c', 'A[B]: c', 'A<B>: c', '\u0001A: b', '\u007fA: b']) {
  behind(`the field line ${JSON.stringify(line)}`, NONE, line);
}
add('white space before the colon hides a coding', NONE, ({ first, hidden }) =>
  post(first, `Content-Length: ${(LAST + whole(hidden)).length}\r\nTransfer-Encoding : chunked`, LAST + whole(hidden)));
head('white space before the first field', NONE, (path) => `POST ${path} HTTP/1.1\r\n Host: h\r\n\r\n`);
head('white space before the first of two fields', NONE, (path) => `POST ${path} HTTP/1.1\r\n\tA: b\r\nHost: h\r\n\r\n`);

from('5.2, Garden S37, llhttp');
for (const [name, lines] of [['a folded value', 'A: b\r\n c'], ['a folded value by a tab', 'A: b\r\n\tc'], ['a folded coding', 'Transfer-Encoding:\r\n chunked'],
  ['a folded length', 'Content-Length:\r\n 0'], ['a fold of nothing', 'A: b\r\n '], ['a folded name', 'Content-\r\nLength: 0'], ['a fold before the colon', 'A\r\n : b'],
  ['a coding folded away', 'A: b\r\n Transfer-Encoding: chunked']]) {
  behind(name, NONE, lines);
}

from('Garden S2, S12, S13, S19, S34, S35, S43, T10, T12, T20, llhttp');
for (const value of ['a\0b', '\0', 'a\0', 'a\rb', '\ra', 'a\r', '\r\rb', 'a\u0001b', 'a\u0007', 'a\u001bb', 'a\u007fb', 'a\u000bb', 'a\u000cb', ':/\rContent-Length: 5']) {
  behind(`the value ${JSON.stringify(value)}`, NONE, `A: ${value}`);
}
behind('a value beyond ASCII', BOTH, 'A: \u0085\u00a0\u00ff');

from('2.2, Garden S9, S19, T16, llhttp');
head('only bare LF', NONE, (path) => `POST ${path} HTTP/1.1\nHost: h\n\n`);
head('a bare LF behind the request line', NONE, (path) => `POST ${path} HTTP/1.1\nHost: h\r\n\r\n`);
head('a bare LF behind a field', NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: h\nA: b\r\n\r\n`);
head('a bare LF as the empty line', NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\n\n`);
head('two bare LFs behind the fields', NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: h\n\n`);
head('a bare CR behind a field', NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: h\rA: b\r\n\r\n`);
head('only bare CR', NONE, (path) => `POST ${path} HTTP/1.1\rHost: h\r\r`);
head('LF CR', NONE, (path) => `POST ${path} HTTP/1.1\n\rHost: h\n\r\n\r`);
head('CR CR LF', NONE, (path) => `POST ${path} HTTP/1.1\r\r\nHost: h\r\r\n\r\r\n`);
head('LF within the request line', NONE, (path) => `POST ${path}\nHTTP/1.1\r\nHost: h\r\n\r\n`);
add('LF hides a coding', NONE, ({ first, hidden }) => post(first, 'A: b\nTransfer-Encoding: chunked', LAST + whole(hidden)));
add('LF alone shows a coding', NONE, ({ first, hidden }) => post(first, 'A:\nTransfer-Encoding: chunked', LAST + whole(hidden)));
head('an empty line before it', BOTH, (path) => `\r\nPOST ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('a bare LF before it', NONE, (path) => `\nPOST ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('a bare CR before it', NONE, (path) => `\rPOST ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('nine empty lines before it', NONE, (path) => `${'\r\n'.repeat(9)}POST ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('an empty line between two', BOTH, (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\n\r\n\r\n`);

from('Garden S27, S30, llhttp');
add('CR and a letter as the empty line', NONE, ({ first, hidden }) => `POST ${target(first)} HTTP/1.1\r\nHost: h\r\n\rZ${whole(hidden)}`);
add('a colon alone', NONE, ({ first, hidden }) => post(first, ':\r\nContent-Length: 5', whole(hidden)));

from('7.1, Garden S1, S17, S22, S25, T2, T7, T13, T19, T24, llhttp');
for (const [name, size] of [['0x', '0x'], ['a plus', '+'], ['a minus', '-'], ['-0x', '-0x'], ['an underscore', '0_'], ['a space', ' '], ['many spaces', '           '], ['a tab', '\t'],
  ['a bare CR', '\r'], ['a bare LF', '\n'], ['an empty line', '\r\n'], ['NUL', '\0'], ['a quote', '"'], ['a byte beyond ASCII', '\u00a0']]) {
  inChunks(`${name} before a size`, NONE, (body) => size + chunk(body) + LAST);
  inChunks(`${name} before the last size`, NONE, (body) => chunk(body) + size + LAST);
}
for (const [name, tail] of [['a space', ' '], ['a tab', '\t'], ['a letter', 'x'], ['an underscore', '_0'], ['a space and more', ' abc'], ['a point', '.0'], ['a comma', ',0'], ['NUL', '\0'],
  ['a bare CR', '\r'], ['CR CR and an extension', '\r\r;ab'], ['a byte beyond ASCII', '\u0085']]) {
  const sized = (data) => `${data.length.toString(16)}${tail}\r\n${data}\r\n`;
  inChunks(`${name} behind a size`, NONE, (body) => sized(body) + LAST);
  inChunks(`${name} behind the last size`, NONE, (body) => `${chunk(body)}0${tail}\r\n\r\n`);
}
inChunks('no size', NONE, (body) => `${chunk(body)}\r\n\r\n`);
inChunks('a size in upper case', BOTH, (body) => `${body.length.toString(16).toUpperCase()}\r\n${body}\r\n${LAST}`);
inChunks('zeros before a size', BOTH, (body) => `000${chunk(body)}000\r\n\r\n`);
inChunks('seventeen digits', NONE, (body) => `${body.length.toString(16).padStart(17, '0')}\r\n${body}\r\n${LAST}`);
inChunks('a size beyond 64 bits', NONE, (body) => `1${body.length.toString(16).padStart(16, '0')}\r\n${body}\r\n${LAST}`);
inChunks('a size beyond 64 bits as the last', NONE, (body) => `${chunk(body)}10000000000000000\r\n\r\n`);
inChunks('a size of 32 bits and more', NONE, (body) => `1${body.length.toString(16).padStart(8, '0')}\r\n${body}\r\n${LAST}`);
inChunks('the greatest size', NONE, (body) => `ffffffffffffffff\r\n${body}\r\n${LAST}`);
inChunks('a size that is too small', NONE, (body) => `${(body.length - 1).toString(16)}\r\n${body}\r\n${LAST}`);
inChunks('a size that is too great by two', NONE, (body) => `${(body.length + 2).toString(16)}\r\n${body}\r\n${LAST}`);

from('7.1, Garden S31, S36, S39, S47, T3, T4, T13, T17, llhttp, desync');
inChunks('a bare LF behind a size', NONE, (body) => `${body.length.toString(16)}\n${body}\r\n${LAST}`);
inChunks('a bare LF behind the data', NONE, (body) => `${body.length.toString(16)}\r\n${body}\n${LAST}`);
inChunks('a bare CR behind the data', NONE, (body) => `${body.length.toString(16)}\r\n${body}\r${LAST}`);
inChunks('nothing behind the data', NONE, (body) => `${body.length.toString(16)}\r\n${body}${LAST}`);
inChunks('two letters behind the data', NONE, (body) => `${body.length.toString(16)}\r\n${body}XX${LAST}`);
inChunks('a bare LF behind the last size', NONE, (body) => `${chunk(body)}0\n\r\n`);
inChunks('a bare LF as the end', NONE, (body) => `${chunk(body)}0\r\n\n`);
inChunks('two bare LFs as the end', NONE, (body) => `${chunk(body)}0\n\n`);
inChunks('a bare CR as the end', NONE, (body) => `${chunk(body)}0\r\n\r`);
inChunks('two letters as the end', NONE, (body) => `${chunk(body)}0\r\nXX`);
inChunks('no end', NONE, (body) => `${chunk(body)}0\r\n`);
inChunks('an empty line before the last size', NONE, (body) => `${chunk(body)}\r\n${LAST}`);
inChunks('no chunk at all', NONE, (body) => `INVALID!!!\r\n${body}`);
inChunks('only bare LF', NONE, (body) => `${body.length.toString(16)}\n${body}\n0\n\n`);
inChunks('an extension', BOTH, (body) => `${body.length.toString(16)};a=b\r\n${body}\r\n${LAST}`);
inChunks('an extension in quotes', BOTH, (body) => `${body.length.toString(16)};a="b\\"c";d\r\n${body}\r\n${LAST}`);
inChunks('an extension with LF', NONE, (body) => `${body.length.toString(16)};a\nb\r\n${body}\r\n${LAST}`);
inChunks('an extension that ends in LF', NONE, (body) => `${body.length.toString(16)};a\n${body}\r\n${LAST}`);
inChunks('an extension with CR', NONE, (body) => `${body.length.toString(16)};a\rb\r\n${body}\r\n${LAST}`);
inChunks('an extension with CR CR', NONE, (body) => `${body.length.toString(16)};a=b\r\r\n${body}\r\n${LAST}`);
inChunks('an extension with NUL', NONE, (body) => `${body.length.toString(16)};a\0b\r\n${body}\r\n${LAST}`);
inChunks('an extension of the last chunk that ends in LF', NONE, (body) => `${chunk(body)}0;\n\r\n`);
inChunks('an extension without end', NONE, (body) => `${body.length.toString(16)};${'a'.repeat(20_000)}\r\n${body}\r\n${LAST}`);

from('7.1.2, Garden S45, "HTTP/1.1 must die"');
inChunks('a trailer field', BOTH, (body) => `${chunk(body)}0\r\nA: b\r\n\r\n`);
for (const field of ['Content-Length: 5', 'Transfer-Encoding: chunked', 'Host: i', 'Connection: close', 'Cookie: session=x', 'Expect: x']) {
  inChunks(`the trailer field ${field}`, BOTH, (body) => `${chunk(body)}0\r\n${field}\r\n\r\n`);
}
for (const line of ['A : b', ' A: b', 'A', ': b', 'A: b\n', 'A: b\rc', 'A: \0', 'A\u00e9: b', 'A: b\r\n c']) {
  inChunks(`the trailer line ${JSON.stringify(line)}`, NONE, (body) => `${chunk(body)}0\r\n${line}\r\n\r\n`);
}
add('a request as trailers', NONE, ({ first, hidden }) => post(first, 'Transfer-Encoding: chunked', `0\r\n${whole(hidden)}`));

from('3, Garden S5, S6, S7, S15, S24, S40, llhttp');
head('HTTP/0.9', NONE, (path) => `POST ${path}\r\n\r\n`);
for (const version of ['HTTP/0.9', 'HTTP/1.2', 'HTTP/1.32', 'HTTP/1.10', 'HTTP/01.1', 'HTTP/1.01', 'HTTP/2.0', 'HTTP/2', 'HTTP/3.0', 'HTTP/5.6', 'HTTP/257.1', 'HTTP/4294967297.1', 'HTTP/1.257', 'HTTP/1',
  'HTTP/1.', 'HTTP/.1', 'HTTP/1,1', 'HTTP/1.1a', 'HTTP/ 1.1', 'HTTP /1.1', 'HTTP/\r\r1.1', 'http/1.1', 'Http/1.1', 'HTTPS/1.1', 'ICE/1.0', 'IHTTP/1.0', 'RTSP/1.0', 'HTTP/1.1 ', 'HTTP/1.1\t', 'HTTP/1.1 x',
  'HTTP/-1.1', 'HTTP/+1.1', 'HTTP/\u0661.1', '']) {
  head(`the version ${JSON.stringify(version)}`, NONE, (path) => `POST ${path} ${version}\r\nHost: h\r\n\r\n`);
}
for (const method of ['P\0ST', 'P(ST', 'POST:', '"POST"', 'P\u00d6ST', ' POST', '\tPOST', 'P@ST', 'post', 'Post', 'POSTX', 'G=":<>(e),[T];?"', '\u0000', '']) {
  const isToken = /^(post|Post|POSTX)$/.test(method);
  const why = isToken ? 'the API answers 405 to whatever is a method, and the request has an end like any other' : undefined;
  head(`the method ${JSON.stringify(method)}`, isToken ? 'hidden' : NONE, (path) => `${method} ${path} HTTP/1.1\r\nHost: h\r\n\r\n`, why);
}
for (const [name, space] of [['two spaces', '  '], ['a tab', '\t'], ['VT', '\u000b'], ['FF', '\u000c'], ['CR', '\r'], ['NUL', '\0'], ['NBSP', '\u00a0']]) {
  head(`${name} behind the method`, NONE, (path) => `POST${space}${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
  head(`${name} before the version`, NONE, (path) => `POST ${path}${space}HTTP/1.1\r\nHost: h\r\n\r\n`);
}
for (const [name, tail] of [['a space', ' x'], ['NUL', '\0'], ['a tab', '\tx'], ['CR', '\rx'], ['a byte beyond ASCII', '\u00e9'], ['DEL', '\u007f'], ['a control character', '\u0001'], ['a fragment', '#x']]) {
  head(`${name} in the target`, NONE, (path) => `POST ${path}${tail} HTTP/1.1\r\nHost: h\r\n\r\n`);
}
head('a target without a slash', NONE, (path) => `POST ${path.slice(1)} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('no target', NONE, () => 'POST  HTTP/1.1\r\nHost: h\r\n\r\n');
head('an exclamation mark for a target', NONE, () => 'GET ! HTTP/1.1\r\nHost: h\r\n\r\n');
head('an asterisk for POST', NONE, () => 'POST * HTTP/1.1\r\nHost: h\r\n\r\n');

from('3.2.2, 3.2.4');
head('an absolute target', BOTH, (path) => `POST http://h${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('an absolute target of another host', BOTH, (path) => `POST http://i${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
for (const authority of ['u@h', 'u:p@h', 'h:', 'h:x', 'h:+80', 'h:65536', 'h:80:80', '', '[::1', '[x]', 'h,i', 'h i', 'h\\i', '%zz']) {
  const taken = authority === 'h:' ? BOTH : NONE;
  head(`an absolute target at ${JSON.stringify(authority)}`, taken, (path) => `POST http://${authority}${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
  head(`the Host ${JSON.stringify(authority)}`, taken || (authority === '' ? BOTH : NONE), (path) => `POST ${path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
}
head('another scheme', NONE, (path) => `POST ftp://h${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
head('no Host', NONE, (path) => `POST ${path} HTTP/1.1\r\nA: b\r\n\r\n`);
head('no Host beside an absolute target', NONE, (path) => `POST http://h${path} HTTP/1.1\r\nA: b\r\n\r\n`);
head('two Hosts', NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n`);
head('the same Host twice', NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n`);
for (const [name, before, after] of [['a tab before', '\t', ''], ['a tab behind', ' ', '\t'], ['spaces around', '  ', '  ']]) {
  head(`${name} the Host`, BOTH, (path) => `POST ${path} HTTP/1.1\r\nHost:${before}h${after}\r\n\r\n`);
  head(`${name} Connection's option`, 'first', (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nConnection:${before}close${after}\r\n\r\n`);
  head(`${name} a value`, BOTH, (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nA:${before}b${after}\r\n\r\n`);
}
for (const host of ['h\0.i', 'h/i', 'h?i', 'h#i', 'h, i', '\u00ff', '"h"', '<h>', '::1']) {
  head(`the Host ${JSON.stringify(host)}`, NONE, (path) => `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
}
head('an asterisk for OPTIONS', 'hidden', () => 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n');

from('9.3, Garden S45, S48');
head('Connection: close before another', 'first', (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
head('close among other options', 'first', (path) => `POST ${path} HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n`);
head('HTTP/1.0 before another', 'first', (path) => `POST ${path} HTTP/1.0\r\nHost: h\r\n\r\n`);
head('HTTP/1.0 that goes on', BOTH, (path) => `POST ${path} HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n`);
add('what is no request behind a good one', 'first', ({ first, hidden }) => `${whole(first)}Invalid\r\n\r\n${whole(hidden)}`);

from('9110 7.8, 9.3.6, 10.1.1');
behind('an upgrade to HTTP/2', BOTH, 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA');
behind('an upgrade to WebSocket', BOTH, 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==');
head('CONNECT', NONE, () => 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n');
head("HTTP/2's preface", NONE, () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
head('TLS', NONE, () => '\u0016\u0003\u0001\u0002\0\u0001\0\r\n\r\n');
for (const expectation of ['x', '100-continue, x', '200-ok', '']) {
  behind(`the expectation ${JSON.stringify(expectation)}`, NONE, `Expect: ${expectation}`);
}
add('a body that is not waited for', 'first', ({ first, hidden }) =>
  post(first, `Expect: 100-continue\r\nContent-Length: ${whole(hidden).length}`, whole(hidden)));
behind('an expectation, and a length of nothing', BOTH, 'Expect: 100-continue\r\nContent-Length: 0');

from('bodies that nobody reads');
for (const start of ['GET /message/chatrooms/', 'HEAD /message/chatrooms/', 'OPTIONS /login', 'POST /nowhere', 'PUT /login', 'DELETE /logout']) {
  add(`of ${start}`, NONE, ({ hidden }) => `${start} HTTP/1.1\r\nHost: h\r\nContent-Length: ${whole(hidden).length}\r\n\r\n${whole(hidden)}`);
}
add('one that is too long', NONE, ({ first, hidden }) => post(first, 'Content-Length: 65537', whole(hidden)));
add('a chunk that is too long', NONE, ({ first, hidden }) => post(first, 'Transfer-Encoding: chunked', `10001\r\n${whole(hidden)}`));
add('a head that is too long', NONE, ({ first, hidden }) => post(first, `A: ${'b'.repeat(70_000)}`, whole(hidden)));

export const REQUESTS = all;
