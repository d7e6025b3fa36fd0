// Command zincsearch serves the part of Elasticsearch's API that ZincSearch has, and that
// product-service uses, for tests: there is no Elasticsearch without a registry. It takes the
// address to listen on, and keeps its data in ZINC_DATA_PATH.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/zincsearch/zincsearch/pkg/config"
	"github.com/zincsearch/zincsearch/pkg/core"
	"github.com/zincsearch/zincsearch/pkg/handlers/document"
	"github.com/zincsearch/zincsearch/pkg/handlers/index"
	"github.com/zincsearch/zincsearch/pkg/handlers/search"
	"github.com/zincsearch/zincsearch/pkg/meta/elastic"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: zincsearch ADDRESS")
		os.Exit(2)
	}
	config.Global.TelemetryEnable = false
	if err := http.ListenAndServe(os.Args[1], routes()); err != nil {
		fmt.Fprintln(os.Stderr, "zincsearch:", err)
		os.Exit(1)
	}
}

// routes are those of ZincSearch's folder /es, without its users, at the paths that
// Elasticsearch has them at. The deletion of an index is of its folder /api.
func routes() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), elasticProduct)
	r.GET("/", func(c *gin.Context) { c.JSON(http.StatusOK, elastic.NewESInfo(c)) })
	r.PUT("/:target", index.CreateES)
	r.DELETE("/:target", closeIndex, index.Delete)
	r.GET("/_alias", index.GetESAliases)
	r.POST("/_aliases", index.AddOrRemoveESAlias)
	r.POST("/_bulk", document.ESBulk)
	r.POST("/:target/_refresh", index.Refresh)
	r.POST("/:target/_search", resolveAlias, search.SearchDSL)
	return r
}

// elasticProduct adds the header by which Elasticsearch's clients know it.
func elasticProduct(c *gin.Context) { c.Header("X-Elastic-Product", "Elasticsearch") }

// resolveAlias does what ZincSearch's own IndexAliasMiddleware does, whose package does not
// build, as it embeds pages that the module does not have.
func resolveAlias(c *gin.Context) {
	for i, parameter := range c.Params {
		if indexes, ok := core.ZINC_INDEX_ALIAS_LIST.GetIndexesForAlias(parameter.Value); ok && parameter.Key == "target" && len(indexes) > 0 {
			c.Params[i].Value = strings.Join(indexes, ",")
		}
	}
}

// closeIndex closes the index that is to be deleted. ZincSearch would close it under the lock
// of the list of all indexes, and wait there forever for its writer, which may wait for that
// lock.
func closeIndex(c *gin.Context) {
	if found, ok := core.GetIndex(c.Param("target")); ok {
		if err := found.Close(); err != nil {
			c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
		}
	}
}
