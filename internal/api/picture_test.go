package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/picture"
)

// TestThePictureOfTheRingIsFresh: README shows the page as the code renders it, style sheet included.
func TestThePictureOfTheRingIsFresh(t *testing.T) {
	var page []byte
	synctest.Test(t, func(t *testing.T) { // for its clock, which stands still
		time.Sleep(time.Until(epoch))
		b := full()
		b.ring = threeMembers()
		page = do(t, api.New(b, api.Options{}).Handler(), "GET", "/ring", "").Body.Bytes()
	})
	picture.Picture{Dir: "../../docs/pictures", Name: "ring", Width: 1000, Height: 760}.Keep(t, page, page)
}
