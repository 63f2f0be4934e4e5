'use strict'
// The host that makes the calls of a workload in Node, and measures them. See host.go for what it is told and what it answers.
//
//	host.cjs workerpool PAYLOAD BYTES CALLERS WORKERS

const path = require('node:path')
const readline = require('node:readline')
const { isDeepStrictEqual } = require('node:util')
const { setTimeout: sleep } = require('node:timers/promises')
const workerpool = require('workerpool')
const { ways, wayOf } = require('./ways.cjs')

const [payloadName, ...numbers] = process.argv.slice(3)
const [payloadSize, callerCount, workerCount] = numbers.map(Number)
const settle = 3 // how long a worker is left alone before it is killed, in ms

const nanoseconds = (ms) => Math.round(ms * 1e6)

function newPool(workers) {
  const forkOpts = { serialization: way.serialization }
  return workerpool.pool(path.join(__dirname, 'worker.cjs'), { workerType: 'process', minWorkers: workers, maxWorkers: workers, forkOpts })
}

const exec = async (pool, payload) => way.unpack(await pool.exec(wayName, [way.pack(payload)]))

const pidsOf = (pool) => pool.workers.map((handler) => handler.worker.pid)

// Callers differ, so that an answer that reaches the wrong one is noticed.
const bytesOf = (size, caller) => Buffer.from(Array.from({ length: size }, (_, i) => (caller + 7 * i) & 255))

function payloadOf(caller) {
  if (payloadName !== 'struct') return bytesOf(payloadSize, caller)
  return {
    name: `photo-${caller}.jpg`, path: '/srv/photos/2024/06', kind: 'image/jpeg', digest: bytesOf(32, caller),
    id: caller, size: 4812331, status: 200, score: 0.8125, cached: true, tags: ['holiday', 'sea'],
  }
}

const wayName = wayOf(payloadOf(0))
const way = ways[wayName]

// The first answer is compared fully, later ones for what cannot be right by chance.
function check(sent, got, fully) {
  const right = Buffer.isBuffer(sent)
    ? got.length === sent.length && got[0] === sent[0]
    : got.id === sent.id && got.tags.length === sent.tags.length
  if (!right || (fully && !isDeepStrictEqual(got, sent))) throw new Error("somebody else's answer, or half of it")
}

class Caller {
  constructor(pool, payload) {
    Object.assign(this, { pool, payload, times: [], proven: false })
  }

  // call makes one call after the other until the time is over.
  async call(end) {
    this.times = []
    for (let now = performance.now(), began = now; this.times.length === 0 || now < end; began = now) {
      const got = await exec(this.pool, this.payload)
      now = performance.now()
      this.times.push(nanoseconds(now - began))
      check(this.payload, got, !this.proven)
      this.proven = true
    }
  }
}

let pool = null
let callers = []

const commands = {
  async round(length) {
    if (!pool) {
      pool = newPool(workerCount)
      callers = Array.from({ length: callerCount }, (_, i) => new Caller(pool, payloadOf(i)))
    }
    const began = performance.now()
    await Promise.all(callers.map((caller) => caller.call(began + Number(length) / 1e6)))
    return { took_ns: nanoseconds(performance.now() - began), pids: pidsOf(pool) }
  },

  times: () => ({ times_ns: callers.flatMap((caller) => caller.times) }),

  // life starts a pool of one worker, kills it, and calls until the next one, which the pool starts by itself, answers.
  async life() {
    const payload = payloadOf(0)
    let began = performance.now()
    const own = newPool(1)
    await exec(own, payload)
    const start = performance.now() - began
    const [victim] = pidsOf(own)
    await sleep(settle)
    began = performance.now()
    process.kill(victim, 'SIGKILL')
    for (let answered = false; !answered;) answered = await exec(own, payload).then(() => true, () => false)
    const recovery = performance.now() - began
    if (pidsOf(own).includes(victim)) throw new Error('the worker that was killed has answered')
    await own.terminate()
    return { start_ns: nanoseconds(start), recovery_ns: nanoseconds(recovery) }
  },

  version: () => ({ version: `${require('workerpool/package.json').version} (Node ${process.versions.node})` }),
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...args] = line.split(' ')
    let answer
    try {
      answer = await commands[command](...args)
    } catch (e) {
      answer = { error: String(e) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  await pool?.terminate()
  process.exit()
}

main()
