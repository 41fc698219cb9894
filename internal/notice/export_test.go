package notice

import (
	"context"

	"k8s.io/client-go/tools/record"
)

// Tell looks at the situation, and records the news, until ctx ends.
func (t *Teller) Tell(ctx context.Context, recorder record.EventRecorder) { t.tell(ctx, recorder) }
