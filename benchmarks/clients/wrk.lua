-- The request of wrk: always the same pair, made once; wrk itself looks at no reply but for its status.
wrk.method = "POST"
wrk.body = '{"CourseLessonId":12345,"CourseMemberId":1234567}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer stub-token"
