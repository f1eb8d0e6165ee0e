"""What clients ask: the layout of each request, by its number."""

from __future__ import annotations

from bifrost_ib.simgateway.layout import Item, Layout, Many, When, is_given, is_positive, parts

CON = (
    "conId:i symbol secType expiry strike:n right multiplier exchange primaryExchange currency"
    " localSymbol tradingClass"
)
LEG = "conId:i ratio:i action exchange"


def _bag(*items: str | Item) -> When:
    return When("secType", lambda kind: kind == "BAG", parts(*items))


BAG = _bag(Many("legs", parts(LEG)))
ORDER_BAG = _bag(
    Many("legs", parts(LEG, "openClose:i shortSaleSlot:i designatedLocation exemptCode:i")),
    Many("legPrices", parts("price:n")),
    Many("routing", parts("tag value")),
)
DELTA_NEUTRAL = parts(
    "deltaNeutral:b", When("deltaNeutral", is_given, parts("underConId:i underDelta:n underPrice:n"))
)

PLACE_ORDER = parts(
    "orderId:i",
    CON,
    "secIdType secId action totalQuantity:n orderType lmtPrice:n auxPrice:n tif ocaGroup account openClose",
    "origin orderRef transmit:b parentId:i blockOrder:b sweepToFill:b displaySize:i triggerMethod:i",
    "outsideRth:b hidden:b",
    ORDER_BAG,
    "sharesAllocation discretionaryAmt:n goodAfterTime goodTillDate faGroup faMethod faPercentage",
    "faProfile<177 modelCode shortSaleSlot:i designatedLocation exemptCode:i ocaType:i rule80A settlingFirm",
    "allOrNone:b minQty:i percentOffset:n eTradeOnly:b firmQuoteOnly:b nbboPriceCap:n auctionStrategy:i",
    "startingPrice:n stockRefPrice:n delta:n stockRangeLower:n stockRangeUpper:n",
    "overridePercentageConstraints:b volatility:n volatilityType:i deltaNeutralOrderType",
    "deltaNeutralAuxPrice:n",
    When("deltaNeutralOrderType", is_given, parts(
        "deltaNeutralConId:i deltaNeutralSettlingFirm deltaNeutralClearingAccount",
        "deltaNeutralClearingIntent deltaNeutralOpenClose deltaNeutralShortSale:b",
        "deltaNeutralShortSaleSlot:i deltaNeutralDesignatedLocation",
    )),
    "continuousUpdate:b referencePriceType:i trailStopPrice:n trailingPercent:n scaleInitLevelSize:i",
    "scaleSubsLevelSize:i scalePriceIncrement:n",
    When("scalePriceIncrement", is_positive, parts(
        "scalePriceAdjustValue:n scalePriceAdjustInterval:i scaleProfitOffset:n scaleAutoReset:b",
        "scaleInitPosition:i scaleInitFillQty:i scaleRandomPercent:b",
    )),
    "scaleTable activeStartTime activeStopTime hedgeType",
    When("hedgeType", is_given, parts("hedgeParam")),
    "optOutSmartRouting:b clearingAccount clearingIntent notHeld:b",
    DELTA_NEUTRAL,
    "algoStrategy",
    When("algoStrategy", is_given, parts(Many("algoParams", parts("tag value")))),
    "algoId whatIf:b",
)  # fmt: skip
"""Up to the last field that matters here; what follows differs by order type and version."""

REQUEST_PARTS: dict[str, tuple[int, tuple[Item, ...], tuple[Item, ...]]] = {
    "reqMktData": (
        1,
        parts("11 reqId:i", CON, BAG, DELTA_NEUTRAL, "genericTicks snapshot:b regulatorySnapshot:b"),
        parts("options"),
    ),
    "cancelMktData": (2, parts("2 reqId:i"), ()),
    "placeOrder": (3, PLACE_ORDER, ()),
    "cancelOrder": (4, parts("1 orderId:i"), parts("manualCancelOrderTime@169")),
    "reqOpenOrders": (5, parts("1"), ()),
    "reqAccountUpdates": (6, parts("2 subscribe:b"), parts("account")),
    "reqExecutions": (
        7,
        parts("3 reqId:i"),
        parts("clientId:i account time symbol secType exchange side"),
    ),
    "reqIds": (8, parts("1"), parts("count:i")),
    "reqContractDetails": (
        9,
        parts("8 reqId:i", CON, "includeExpired:b secIdType secId"),
        parts("issuerId@176"),
    ),
    "setServerLogLevel": (14, parts("1"), parts("level:i")),
    "reqAutoOpenOrders": (15, parts("1 bind:b"), ()),
    "reqAllOpenOrders": (16, parts("1"), ()),
    "reqManagedAccts": (17, parts("1"), ()),
    "reqHistoricalData": (
        20,
        parts(
            "reqId:i",
            CON,
            "includeExpired:b endDateTime barSize duration useRTH:b whatToShow formatDate:i",
            BAG,
        ),
        parts("keepUpToDate:b options"),
    ),
    "cancelHistoricalData": (25, parts("1 reqId:i"), ()),
    "reqCurrentTime": (49, parts("1"), ()),
    "reqGlobalCancel": (58, parts("1"), ()),
    "reqMarketDataType": (59, parts("1 type:i"), ()),
    "reqPositions": (61, parts("1"), ()),
    "reqAccountSummary": (62, parts("1 reqId:i group tags"), ()),
    "cancelAccountSummary": (63, parts("1 reqId:i"), ()),
    "cancelPositions": (64, parts("1"), ()),
    "startApi": (71, parts("2 clientId:i"), parts("capabilities")),
    "reqAccountUpdatesMulti": (76, parts("1 reqId:i account modelCode ledgerAndNLV:b"), ()),
    "cancelAccountUpdatesMulti": (77, parts("1 reqId:i"), ()),
    "reqSecDefOptParams": (78, parts("reqId:i symbol futFopExchange secType conId:i"), ()),
    "reqMarketRule": (91, parts("marketRuleId:i"), ()),
    "reqPnL": (92, parts("reqId:i account"), parts("modelCode")),
    "cancelPnL": (93, parts("reqId:i"), ()),
    "reqPnLSingle": (94, parts("reqId:i account modelCode conId:i"), ()),
    "cancelPnLSingle": (95, parts("reqId:i"), ()),
    "reqCompletedOrders": (99, parts("apiOnly:b"), ()),
}

BY_NAME = {name: Layout(name, *layout) for name, layout in REQUEST_PARTS.items()}
BY_NUMBER = {layout.number: layout for layout in BY_NAME.values()}
