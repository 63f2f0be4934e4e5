'use strict'
// A worker of host.cjs: a method for each way, which unpacks a payload and packs it again.

const { ways } = require('./ways.cjs')

const methods = Object.entries(ways).map(([name, way]) => [name, (packed) => way.pack(way.unpack(packed))])
require('workerpool').worker(Object.fromEntries(methods))
