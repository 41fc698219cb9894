package app

import (
	"fmt"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
)

// ClusterConfig finds the API server as kubectl does: KUBECONFIG, then the pod's service account, then ~/.kube/config.
func ClusterConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server (set KUBECONFIG, or run in a pod with a service account): %w", err)
	}
	if restConfig.Proxy == nil { // else the kubeconfig names one
		restConfig.Proxy = outbound.Proxy
	}
	return restConfig, nil
}

// NewLogger returns the process's logger, and makes the Kubernetes libraries log to it.
func NewLogger(cfg config.Config) logr.Logger {
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
