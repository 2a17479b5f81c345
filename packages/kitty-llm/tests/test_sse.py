from kitty_llm.sse import Frame, FrameReader


def test_a_character_cut_in_two_reads_arrives_whole():
    data = 'data: {"text": "für 猫"}\n\n'.encode()
    for at in range(len(data)):
        reader = FrameReader()
        assert reader.feed(data[:at]) + reader.feed(data[at:]) == [Frame("data", '{"text": "für 猫"}')]


def test_pings_event_names_and_carriage_returns_are_not_data():
    reader = FrameReader()
    assert reader.feed(b": ping\r\n\r\nevent: x\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\n") == [Frame("data", "a\nb")]


def test_a_last_event_without_an_empty_line_is_not_lost():
    reader = FrameReader()
    assert reader.feed(b"data: [DONE]") == []
    assert reader.close() == [Frame("data", "[DONE]")]


def test_an_error_line_of_older_servers_is_told_apart():
    assert FrameReader().feed(b'error: {"message": "no"}\n\n') == [Frame("error", '{"message": "no"}')]
