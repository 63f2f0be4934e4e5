package main

//go:generate go run github.com/tinylib/msgp@v1.6.5 -file record.go -o record_gen.go -io=false -tests=false

//msgp:ignore reflected
//msgp:tuple Record

// Record is the payload that is no bytes: ten fields, which each contender sends in its own encoding.
// It is exported because net/rpc takes no others.
type Record struct {
	_msgpack struct{} `msgpack:",as_array"` // fields by position, without their names, as gob and protobuf send them

	Name   string   `json:"name" msgpack:"name"`
	Path   string   `json:"path" msgpack:"path"`
	Kind   string   `json:"kind" msgpack:"kind"`
	Digest []byte   `json:"digest" msgpack:"digest"`
	ID     int64    `json:"id" msgpack:"id"`
	Size   int64    `json:"size" msgpack:"size"`
	Status int32    `json:"status" msgpack:"status"`
	Score  float64  `json:"score" msgpack:"score"`
	Cached bool     `json:"cached" msgpack:"cached"`
	Tags   []string `json:"tags" msgpack:"tags"`
}

// reflected is a Record without the methods that were generated for that.
type reflected Record
