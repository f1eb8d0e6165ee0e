"""What the gateway says: the layout of each answer, by name, with the versions of its fields."""

from __future__ import annotations

from bifrost_ib.simgateway.framing import UNSET
from bifrost_ib.simgateway.layout import Item, Layout, Many, When, is_given, parts

SHORT = (
    "conId:i=0 symbol secType expiry strike:n=0 right multiplier exchange currency localSymbol tradingClass"
)
VALUE = parts("value")
TAG_VALUE = parts("tag value")

CONTRACT_DETAILS = parts(
    "fixed=8<164 reqId:i symbol secType expiry strike:n=0 right exchange currency localSymbol marketName",
    "tradingClass conId:i minTick:n mdSizeMultiplier=100<164 multiplier orderTypes validExchanges",
    "priceMagnifier=1 underConId:i=0 longName primaryExchange contractMonth industry category subcategory",
    "timeZoneId tradingHours liquidHours evRule evMultiplier=0",
    Many("secIds", TAG_VALUE),
    "aggGroup=1 underSymbol underSecType marketRuleIds realExpirationDate stockType",
    "minSize=1@164 sizeIncrement=1@164 suggestedSizeIncrement=100@163",
)

MARGINS = " ".join(
    f"{amount}{when}={UNSET}"
    for when in ("Before", "Change", "After")
    for amount in ("initMargin", "maintMargin", "equityWithLoan")
)

OPEN_ORDER = parts(
    "orderId:i",
    SHORT,
    "action totalQuantity:n orderType lmtPrice:n=0 auxPrice:n=0 tif=DAY ocaGroup account openClose origin=0",
    "orderRef clientId:i permId:i outsideRth:b=0 hidden:b=0 discretionaryAmt=0 goodAfterTime",
    "sharesAllocation faGroup faMethod faPercentage faProfile<177 modelCode goodTillDate rule80A",
    "percentOffset settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1 auctionStrategy=0",
    "startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize=0",
    "blockOrder=0 sweepToFill=0 allOrNone=0 minQty ocaType=3 eTradeOnly=0 firmQuoteOnly=0 nbboPriceCap",
    "parentId=0 triggerMethod=0 volatility volatilityType=0 deltaNeutralOrderType=None deltaNeutralAuxPrice",
    # The eight are there because «None» isn't empty.
    "deltaNeutralConId=0 deltaNeutralSettlingFirm deltaNeutralClearingAccount deltaNeutralClearingIntent",
    "deltaNeutralOpenClose=? deltaNeutralShortSale=0 deltaNeutralShortSaleSlot=0",
    "deltaNeutralDesignatedLocation",
    "continuousUpdate=0 referencePriceType=0 trailStopPrice trailingPercent basisPoints basisPointsType",
    "comboLegsDescrip legs=0 legPrices=0 routing=0 scaleInitLevelSize scaleSubsLevelSize",
    "scalePriceIncrement hedgeType",
    When("hedgeType", is_given, parts("hedgeParam")),
    "optOutSmartRouting=0 clearingAccount clearingIntent=IB notHeld=0 deltaNeutral=0 algoStrategy",
    When("algoStrategy", is_given, parts(Many("algoParams", TAG_VALUE))),
    "solicited=0 whatIf:b=0 status",
    MARGINS,
    "commission minCommission maxCommission commissionCurrency warningText randomizeSize=0",
    "randomizePrice=0 conditions=0 adjustedOrderType=None",
    f"triggerPrice={UNSET} trailStopPrice={UNSET} lmtPriceOffset={UNSET} adjustedStopPrice={UNSET}",
    f"adjustedStopLimitPrice={UNSET} adjustedTrailingAmount={UNSET}",
    "adjustableTrailingUnit=0 softDollarName softDollarValue softDollarDisplayName cashQty=0",
    "dontUseAutoPriceForHedge=1 isOmsContainer=0 discretionaryUpToLimitPrice=0 usePriceMgmtAlgo=0",
    "duration@159 postToAts@160 autoCancelParent=0@162",
    "minTradeQty@170 minCompeteSize@170 competeAgainstBestOffset@170 midOffsetAtWhole@170",
    "midOffsetAtHalf@170",
)

COMPLETED_ORDER = parts(
    SHORT,
    "action totalQuantity:n orderType lmtPrice:n=0 auxPrice:n=0 tif=DAY ocaGroup account openClose origin=0",
    "orderRef permId:i outsideRth:b=0 hidden:b=0 discretionaryAmt=0 goodAfterTime faGroup faMethod",
    "faPercentage faProfile<177 modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot=0",
    "designatedLocation exemptCode=-1 startingPrice stockRefPrice delta stockRangeLower stockRangeUpper",
    "displaySize=0 sweepToFill=0 allOrNone=0 minQty ocaType=3 triggerMethod=0 volatility volatilityType=0",
    "deltaNeutralOrderType=None deltaNeutralAuxPrice deltaNeutralConId=0 deltaNeutralShortSale=0",
    "deltaNeutralShortSaleSlot=0 deltaNeutralDesignatedLocation",
    "continuousUpdate=0 referencePriceType=0 trailStopPrice trailingPercent comboLegsDescrip legs=0",
    "legPrices=0 routing=0 scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement hedgeType",
    When("hedgeType", is_given, parts("hedgeParam")),
    "clearingAccount clearingIntent=IB notHeld=0 deltaNeutral=0 algoStrategy",
    When("algoStrategy", is_given, parts(Many("algoParams", TAG_VALUE))),
    f"solicited=0 status randomizeSize=0 randomizePrice=0 conditions=0 trailStopPrice={UNSET}",
    f"lmtPriceOffset={UNSET} cashQty=0 dontUseAutoPriceForHedge=1 isOmsContainer=0 autoCancelDate",
    "filledQuantity:n refFuturesConId=0 autoCancelParent=0 shareholder imbalanceOnly=0",
    "routeMarketableToBbo=0 parentPermId=0 completedTime completedStatus",
    "minTradeQty@170 minCompeteSize@170 competeAgainstBestOffset@170 midOffsetAtWhole@170",
    "midOffsetAtHalf@170",
)

EXEC_DETAILS = parts(
    "reqId:i=-1 orderId:i",
    SHORT,
    "execId time account venue side shares:n price:n permId:i clientId:i liquidation=0 cumQty:n",
    "avgPrice:n orderRef evRule evMultiplier modelCode lastLiquidity=2 pendingPriceRevision=0@178",
)

ANSWER_PARTS: dict[str, tuple[int, tuple[Item, ...]]] = {
    "tickPrice": (1, parts("6 reqId:i type:i price:n size:n attribMask=0")),
    "tickSize": (2, parts("6 reqId:i type:i size:n")),
    "orderStatus": (
        3,
        parts(
            "orderId:i status filled:n remaining:n avgFillPrice:n=0 permId:i parentId:i=0",
            "lastFillPrice:n=0 clientId:i whyHeld mktCapPrice=0",
        ),
    ),
    "error": (4, parts("2 id:i=-1 code:i text json@166")),
    "openOrder": (5, OPEN_ORDER),
    "accountValue": (6, parts("2 key value currency account")),
    "portfolioValue": (
        7,
        parts(
            "8 conId:i symbol secType expiry strike:n=0 right=0 multiplier primaryExchange currency",
            "localSymbol tradingClass position:n marketPrice:n marketValue:n averageCost:n",
            "unrealizedPNL:n realizedPNL:n account",
        ),
    ),
    "accountTime": (8, parts("1 time")),
    "nextValidId": (9, parts("1 orderId:i")),
    "contractDetails": (10, CONTRACT_DETAILS),
    "execDetails": (11, EXEC_DETAILS),
    "managedAccounts": (15, parts("1 accounts")),
    "historicalData": (
        17,
        parts(
            "reqId:i start end",
            Many("bars", parts("date open:n high:n low:n close:n volume:n average:n barCount:i")),
        ),
    ),
    "tickOptionComputation": (
        21,
        parts(
            "reqId:i type:i attrib=0 impliedVol:n=-1 delta:n=-2 optPrice:n=-1 pvDividend:n=-1",
            "gamma:n=-2 vega:n=-2 theta:n=-2 undPrice:n=-1",
        ),
    ),
    "tickGeneric": (45, parts("6 reqId:i type:i value:n")),
    "tickString": (46, parts("6 reqId:i type:i value")),
    "currentTime": (49, parts("1 time:i")),
    "contractDetailsEnd": (52, parts("1 reqId:i")),
    "openOrderEnd": (53, parts("1")),
    "accountDownloadEnd": (54, parts("1 account")),
    "execDetailsEnd": (55, parts("1 reqId:i")),
    "tickSnapshotEnd": (57, parts("1 reqId:i")),
    "marketDataType": (58, parts("1 reqId:i type:i")),
    "commissionReport": (
        59,
        parts(f"1 execId commission:n currency realizedPNL:n={UNSET} yield={UNSET} yieldRedemptionDate"),
    ),
    "position": (61, parts("3 account", SHORT, "position:n avgCost:n")),
    "positionEnd": (62, parts("1")),
    "accountSummary": (63, parts("1 reqId:i account tag value currency")),
    "accountSummaryEnd": (64, parts("1 reqId:i")),
    "accountUpdateMulti": (73, parts("1 reqId:i account modelCode key value currency")),
    "accountUpdateMultiEnd": (74, parts("1 reqId:i")),
    "optionParams": (
        75,
        parts(
            "reqId:i exchange underConId:i tradingClass multiplier",
            Many("expiries", VALUE),
            Many("strikes", VALUE),
        ),
    ),
    "optionParamsEnd": (76, parts("reqId:i")),
    "tickReqParams": (81, parts("reqId:i minTick:n bboExchange permissions:i=3")),
    "marketRule": (93, parts("marketRuleId:i", Many("increments", parts("lowEdge:n increment:n")))),
    "pnl": (94, parts("reqId:i daily:n unrealized:n realized:n")),
    "pnlSingle": (95, parts("reqId:i position:n daily:n unrealized:n realized:n value:n")),
    "completedOrder": (101, COMPLETED_ORDER),
    "completedOrdersEnd": (102, parts("")),
}

BY_NAME = {name: Layout(name, number, items) for name, (number, items) in ANSWER_PARTS.items()}
BY_NUMBER = {layout.number: layout for layout in BY_NAME.values()}
