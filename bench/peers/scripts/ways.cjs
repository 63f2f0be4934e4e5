'use strict'
// The ways in which payloads travel between host.cjs and worker.cjs. JSON, with bytes in base64, is faster for a few hundred bytes than
// Node's advanced serialization, which is faster from some thousand on.

const few = 1024 // bytes

const same = (x) => x
const toText = (bytes) => bytes.toString('base64')
const fromText = (text) => Buffer.from(text, 'base64')

const advanced = { serialization: 'advanced', pack: same, unpack: same }
const text = { serialization: 'json', pack: toText, unpack: fromText }
const record = {
  serialization: 'json',
  pack: (r) => ({ ...r, digest: toText(r.digest) }),
  unpack: (r) => ({ ...r, digest: fromText(r.digest) }),
}

exports.ways = { text, advanced, record }

// wayOf names the way of a payload.
exports.wayOf = (payload) => (!Buffer.isBuffer(payload) ? 'record' : payload.length < few ? 'text' : 'advanced')
