package reflector

// Pipe lets a test give a Stream to a Reflector for good, as a Guard does.
func Pipe(s *Stream) *Piped { return pipe(s, false) }
