import Testing

@testable import Resources

@Suite struct JSONValueTests {
    @Test func whatIsWrittenReadsBackEqual() throws {
        let value: JSONValue = [
            "name": "a/b \"quoted\" \u{1F600}", "count": -3, "big": .int(.max), "ratio": 0.25, "on": true, "off": false,
            "nothing": nil, "list": [1, "two", [], [:]],
        ]
        #expect(try JSONValue(decoding: value.encode()) == value)
    }

    @Test func namesAreSortedAndSlashesPlain() {
        let value: JSONValue = ["b": "x/y", "a": 1]
        #expect(String(decoding: value.encode(), as: UTF8.self) == #"{"a":1,"b":"x/y"}"#)
    }

    @Test func aWholeNumberIsExact() throws {
        #expect(try JSONValue(decoding: Array("9007199254740993".utf8)) == .int(9_007_199_254_740_993))
        #expect(try JSONValue(decoding: Array("1.5".utf8)) == .double(1.5))
        #expect(try JSONValue(decoding: Array("true".utf8)) == .bool(true))
        #expect(try JSONValue(decoding: Array("[0,1]".utf8)) == [0, 1])
    }

    @Test func numbersJSONCannotSayBecomeNull() {
        let value: JSONValue = ["x": .double(.infinity), "y": [.double(.nan), 1]]
        #expect(String(decoding: value.encode(), as: UTF8.self) == #"{"x":null,"y":[null,1]}"#)
    }

    @Test func deepNestingIsRefused() {
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 200) + [UInt8](repeating: UInt8(ascii: "]"), count: 200)
        #expect(throws: (any Error).self) { try JSONValue(decoding: deep) }
    }

    @Test func aPathMakesTheObjectsOnTheWay() {
        var value: JSONValue = [:]
        value[path: ["metadata", "labels", "app"]] = "x"
        #expect(value == ["metadata": ["labels": ["app": "x"]]])
        value[path: ["metadata", "labels", "app"]] = .none
        #expect(value == ["metadata": ["labels": [:]]])
        #expect(value[path: ["metadata", "name", "x"]] == nil)
    }

    @Test func elementsOutsideTheBoundsAreAbsent() {
        var list: JSONValue = [1, 2]
        #expect(list[1] == 2)
        #expect(list[2] == nil)
        list[0] = .none
        #expect(list == [2])
    }
}
