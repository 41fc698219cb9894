package logging

import (
	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// New returns the process's logger, and makes the Kubernetes libraries log to it.
func New(cfg config.Config) logr.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	zapConfig := zap.Config{
		Level: zap.NewAtomicLevelAt(cfg.LogLevel), Encoding: cfg.LogFormat, EncoderConfig: encoder,
		OutputPaths: []string{"stderr"}, ErrorOutputPaths: []string{"stderr"},
		DisableCaller: true, DisableStacktrace: true,
	}
	z, err := zapConfig.Build()
	if err != nil { // The configuration was validated; a logger that discards would hide whatever comes next.
		z = zap.NewExample()
	}
	log := zapr.NewLogger(z)
	ctrllog.SetLogger(log)
	klog.SetLoggerWithOptions(log.WithName("kubernetes"), klog.ContextualLogger(true))
	return log
}
