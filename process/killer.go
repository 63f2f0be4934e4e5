package process

// Killer says why we ended a process. The empty Killer says that it was not us.
type Killer string

// The reasons that the parts of this module give. Others may be used as well: the text appears in reports and error messages as it is.
const (
	KillerAsked     Killer = "asked"              // somebody called Stop, or sent a signal that ends processes
	KillerIdle      Killer = "idle"               // unused for too long
	KillerCancel    Killer = "cancel"             // a canceled call did not end
	KillerTimeout   Killer = "timeout"            // a call took too long
	KillerHang      Killer = "hang"               // it no longer answered
	KillerStart     Killer = "start"              // it was not ready in time, or could not start its work
	KillerShutdown  Killer = "shutdown"           // its owner was shut down
	KillerRecycle   Killer = "recycle"            // it was old enough, or had served enough calls
	KillerReload    Killer = "reload"             // a new program takes its place
	KillerResize    Killer = "resize"             // fewer processes are wanted
	KillerMemory    Killer = "memory"             // it used too much memory
	KillerViolation Killer = "protocol violation" // it wrote what the protocol does not allow
)
